//go:build !race

package storetest

// slow says that the race detector makes everything several times slower.
const slow = false
