package app

import (
	"strings"
	"unicode/utf8"
)

// cell is a text of a grid with its colour.
type cell struct {
	text   string
	colour func(string) string
}

func plainCell(text string) cell { return cell{text: text} }

// grid is a table whose cells have colours.
type grid struct {
	rows [][]cell
}

func newGrid(p paint, header ...string) *grid {
	cells := make([]cell, len(header))
	for i, text := range header {
		cells[i] = cell{text, p.bold}
	}

	return &grid{rows: [][]cell{cells}}
}

func (g *grid) add(cells ...cell) { g.rows = append(g.rows, cells) }

// write aligns the columns: colours have no width.
func (g *grid) write(out *strings.Builder, indent string) {
	widths := []int{}

	for _, row := range g.rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}

			widths[i] = max(widths[i], utf8.RuneCountInString(oneLine(c.text)))
		}
	}

	for _, row := range g.rows {
		line := &strings.Builder{}
		line.WriteString(indent)

		for i, c := range row {
			text := oneLine(c.text)
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+3)

			if c.colour != nil {
				text = c.colour(text)
			}

			line.WriteString(text + gap)
		}

		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
