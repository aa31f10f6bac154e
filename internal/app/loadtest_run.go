package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/serinhq/serin/loadtest"
)

// run makes the load without a script.
func (o *loadOptions) run(ctx context.Context, env *Env, scenario loadtest.Scenario) error {
	if o.duration <= 0 {
		return usageErrorf("--duration %s: want a time of more than 0", o.duration)
	}

	return o.runScript(ctx, env, scenario, nil)
}

// runScript makes the load, shows the report, and fails if a bar was missed. Interrupted, it shows what was until then.
func (o *loadOptions) runScript(ctx context.Context, env *Env, scenario loadtest.Scenario,
	script func(context.Context, *loadtest.Load) error, further ...loadtest.Bar,
) error {
	bars, err := o.judged(loadtest.WithBars(loadtest.DefaultBars(), further...))
	if err != nil {
		return err
	}

	cfg, err := o.config(scenario)
	if err != nil {
		return err
	}

	cfg.Script = script

	line := &progressLine{env: env, redraw: env.IsTerminal, every: 10 * time.Second}
	if !o.quiet {
		cfg.Progress = line.show
	}

	report, err := loadtest.Run(ctx, cfg)

	line.end()

	if report == nil || report.Conversations.Started == 0 && err != nil {
		return err
	}

	met := report.Judge(bars...)

	if err := errors.Join(err, o.show(env, report)); err != nil {
		return err
	}

	if !met {
		return missed(report.Bars)
	}

	return nil
}

func missed(bars []loadtest.Judged) error {
	missed := []string{}

	for _, bar := range bars {
		if !bar.Met {
			missed = append(missed, bar.String())
		}
	}

	return fmt.Errorf("%s missed: %s", count(len(missed), "bar"), strings.Join(missed, "; "))
}

func (o *loadOptions) show(env *Env, report *loadtest.Report) error {
	if o.html != "" {
		if err := writePage(o.html, report); err != nil {
			return err
		}
	}

	if *o.format == formatText {
		return report.WriteText(env.Stdout)
	}

	return printValue(env.Stdout, *o.format, report)
}

func writePage(path string, report *loadtest.Report) error {
	file, err := os.Create(filepath.Clean(path))
	if err != nil {
		return usageErrorf("--html: %w", err)
	}

	if err := errors.Join(report.WriteHTML(file), file.Close()); err != nil {
		return fmt.Errorf("--html: %w", err)
	}

	return nil
}

// progressLine shows how a load goes: one line that is drawn anew on a terminal, a line now and then elsewhere.
type progressLine struct {
	env    *Env
	redraw bool
	every  time.Duration
	last   time.Duration
	drawn  bool
}

func (l *progressLine) show(now loadtest.Progress) {
	if !l.redraw && now.Elapsed-l.last < l.every {
		return
	}

	l.last = now.Elapsed
	text := fmt.Sprintf("%5s  %d conversations (%d open), %d turns, %.0f/s, p50 %s, p99 %s, %d failed, %d flips, %d lost, %d doubled",
		now.Elapsed.Round(time.Second), now.Started, now.Open, now.Turns, now.TurnsPerSecond,
		now.P50.Round(100*time.Microsecond), now.P99.Round(100*time.Microsecond), now.Failed, now.Flips, now.Lost, now.Doubled)

	if l.redraw {
		l.drawn = true
		_, _ = fmt.Fprintf(l.env.Stderr, "\r\x1b[K%s", text)
	} else {
		_, _ = fmt.Fprintln(l.env.Stderr, text)
	}
}

// end takes the line away.
func (l *progressLine) end() {
	if l.drawn {
		_, _ = fmt.Fprint(l.env.Stderr, "\r\x1b[K")
	}
}
