// Package readme has tests that follow deploy/README.md step by step, on a cluster of their own.
package readme
