package controller

import (
	"cmp"
	"slices"
	"strings"
)

// distinct returns the names that are not empty, sorted, each once.
func distinct(names []string) []string {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" })
	slices.Sort(names)

	return slices.Compact(names)
}

// listed writes names for people.
func listed(names []string) string { return cmp.Or(strings.Join(names, ", "), "none") }
