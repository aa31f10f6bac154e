package loadtest

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// plot is a diagram in the units of its data; drawn turns it into those of the page.
type plot struct {
	title string
	lines []line
	// right and top are the ends of the axes; they begin at 0.
	right, top float64
	marks      []Mark
	begun      time.Time
	x, y       func(float64) string
	// ticks are where the x axis is labelled; nil means evenly.
	ticks []float64
	// ceiling keeps the top where it is instead of the next round number.
	ceiling bool
}

// line is one series of a plot. Points that are not a number are gaps.
type line struct {
	name   string
	points [][2]float64
}

// The page's measures of a plot.
const (
	plotWidth  = 860.0
	plotHeight = 260.0
	plotLeft   = 62.0
	plotRight  = 14.0
	plotTop    = 26.0
	plotBottom = 26.0
)

// drawn is a plot as the page's template wants it.
type drawn struct {
	Title         string
	Width, Height float64
	Left, Right   float64
	Top, Bottom   float64
	Lines         []drawnLine
	Across, Up    []tick
	Marks         []tick
}

type drawnLine struct {
	Name, Path string
	// Colour counts the page's colours from 1.
	Colour int
}

// tick is a place on an axis, with its label.
type tick struct {
	At    float64
	Label string
}

// colours is how many colours the page has.
const colours = 8

func (p plot) draw() drawn {
	top := p.top
	if !p.ceiling {
		top = roundUp(top)
	}

	right := max(p.right, 1e-9)
	x := func(value float64) float64 { return round(plotLeft + value/right*(plotWidth-plotLeft-plotRight)) }
	y := func(value float64) float64 {
		return round(plotHeight - plotBottom - min(value/top, 1)*(plotHeight-plotTop-plotBottom))
	}

	made := drawn{
		Title: p.title, Width: plotWidth, Height: plotHeight, Left: plotLeft, Right: plotWidth - plotRight,
		Top: plotTop, Bottom: plotHeight - plotBottom,
	}

	for i, line := range p.lines {
		made.Lines = append(made.Lines, drawnLine{line.name, path(line.points, x, y), i%colours + 1})
	}

	for step := range 5 {
		value := top * float64(step) / 4
		made.Up = append(made.Up, tick{y(value), p.y(value)})
	}

	for _, value := range p.across(right) {
		made.Across = append(made.Across, tick{x(value), p.x(value)})
	}

	for _, mark := range p.marks {
		made.Marks = append(made.Marks, tick{x(min(max(mark.Time.Sub(p.begun).Seconds(), 0), right)), mark.Name})
	}

	joinLabels(made.Marks)

	return made
}

// joinLabels moves labels that would cover others to those.
func joinLabels(marks []tick) {
	const room = 60

	first := 0

	for i := 1; i < len(marks); i++ {
		if marks[i].At-marks[first].At >= room {
			first = i

			continue
		}

		marks[first].Label += ", " + marks[i].Label
		marks[i].Label = ""
	}
}

func (p plot) across(right float64) []float64 {
	if p.ticks != nil {
		return p.ticks
	}

	ticks := []float64{}
	for step, value := roundUp(right/8), 0.0; value <= right; value += step {
		ticks = append(ticks, value)
	}

	return ticks
}

// path is a line in SVG's words. A gap begins it anew.
func path(points [][2]float64, x, y func(float64) float64) string {
	words, begun := []string{}, false

	for _, point := range points {
		if math.IsNaN(point[1]) {
			begun = false

			continue
		}

		place := number(x(point[0])) + " " + number(y(point[1]))
		if begun {
			words = append(words, "L"+place)
		} else {
			words = append(words, "M"+place+"h0") // a dot, if nothing follows
		}

		begun = true
	}

	return strings.Join(words, " ")
}

func round(value float64) float64 { return math.Round(value*10) / 10 }

func number(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }

// roundUp is the next of 1, 2, 2.5, 4, 5, 8 times a power of ten; 1 for what is not positive.
func roundUp(value float64) float64 {
	if !(value > 0) || math.IsInf(value, 0) { // NaN is not positive
		return 1
	}

	power := math.Pow(10, math.Floor(math.Log10(value)))
	steps := []float64{1, 2, 2.5, 4, 5, 8, 10}
	at := slices.IndexFunc(steps, func(step float64) bool { return step*power >= value*(1-1e-9) })

	if at < 0 {
		return value
	}

	return steps[at] * power
}

func inSeconds(value float64) string { return number(math.Round(value*100)/100) + " s" }

func inMilliseconds(value float64) string {
	return short(time.Duration(value * float64(time.Millisecond)))
}

func plainly(value float64) string { return number(math.Round(value*100) / 100) }

func inPercent(value float64) string { return fmt.Sprintf("%.4g%%", value) }
