package loadtest

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"
)

//go:embed report.html
var page string

// WriteHTML writes the report as one page that needs nothing else: its plots are in it.
func (r *Report) WriteHTML(w io.Writer) error {
	parsed, err := template.New("report").Funcs(template.FuncMap{
		"short": short, "reasons": reasons,
		"minus": func(a, b float64) float64 { return a - b },
		"q":     func(latency Latency, q float64) string { return short(latency.Quantile(q)) },
		"clock": func(at time.Time) string { return at.Format("2006-01-02 15:04:05 MST") },
	}).Parse(page)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}

	err = parsed.Execute(w, struct {
		*Report

		Plots []drawn
	}{r, r.plots()})
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}

	return nil
}
