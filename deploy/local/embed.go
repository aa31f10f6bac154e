// Package local holds the example team that `serin up` runs when it is given no folder.
package local

import "embed"

// Agents holds the folder agents: what a user would give to `serin up -f`.
//
//go:embed agents
var Agents embed.FS
