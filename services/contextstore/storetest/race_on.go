//go:build race

package storetest

// Slow says that the race detector makes everything several times slower.
const Slow = true
