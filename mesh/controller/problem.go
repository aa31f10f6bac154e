package controller

import (
	"strings"

	"github.com/serinhq/serin/internal/fault"
)

// problem says in words what went wrong with what; empty if nothing did.
func problem(about string, err error) string {
	if err == nil {
		return ""
	}

	return about + ": " + strings.ReplaceAll(fault.From(err).Message, "\n", "; ")
}
