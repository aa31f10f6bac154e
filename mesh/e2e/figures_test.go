package e2e_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// figures are what the tests measured; they are printed once all have run.
var figures table

type table struct {
	mu   sync.Mutex
	rows [][3]string
}

func (t *table) add(about, what, value string) {
	t.mu.Lock()
	defer t.mu.Unlock()

	t.rows = append(t.rows, [3]string{about, what, value})
}

func (t *table) print(to io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()

	widths := [3]int{}
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}

	fmt.Fprintln(to, "\nFigures of this run")

	for _, row := range t.rows {
		fmt.Fprintf(to, "  %s%s  %s%s  %s\n", row[0], strings.Repeat(" ", widths[0]-len(row[0])),
			row[1], strings.Repeat(" ", widths[1]-len(row[1])), row[2])
	}
}
