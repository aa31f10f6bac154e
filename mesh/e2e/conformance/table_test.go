package conformance_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// conformance is one case: objects, and what must come of them.
type conformance struct {
	area, name string
	// objects are put before, over those of base, and taken away afterwards.
	objects string
	// check looks whether all is as it should be.
	check func(*world) error
	// unless is why mesh/xds may refuse the objects, while istiod takes them.
	unless string
}

const ok = "ok"

// TestConformance runs every case against both control planes, and prints what each did.
func TestConformance(t *testing.T) {
	subjects := []subject{startIstiod(t), startEmbedded(t)}

	for _, subject := range subjects {
		must(t, put(t.Context(), subject, base))
		must(t, (&world{subject, t.Context()}).calm())
	}

	rows := [][]string{{"", "", subjects[0].String(), subjects[1].String()}}
	defer func() { printTable(os.Stdout, rows) }()

	for _, one := range slices.Concat(routes(), splits(), failures(), balancing(), policies(), security()) {
		t.Run(one.area+"/"+one.name, func(t *testing.T) {
			came := both(subjects, func(subject subject) string { return one.against(t.Context(), subject) })
			rows = append(rows, []string{one.area, one.name, came[0], came[1]})
			one.judge(t, came)
		})
	}

	for _, one := range refusals() {
		t.Run("refused/"+one.name, func(t *testing.T) {
			came := both(subjects, func(subject subject) string { return one.against(t.Context(), subject) })
			rows = append(rows, []string{"refused", one.name, came[0], came[1]})

			if !strings.HasPrefix(came[1], refusal) {
				t.Errorf("mesh/xds must refuse it by name: %s", came[1])
			}

			if strings.HasPrefix(came[0], differs) {
				t.Errorf("istiod: %s", came[0])
			}
		})
	}
}

// both does something to both subjects at once.
func both(subjects []subject, do func(subject) string) []string {
	came := make([]string, len(subjects))

	var group sync.WaitGroup
	for i, subject := range subjects {
		group.Go(func() { came[i] = do(subject) })
	}

	group.Wait()

	return came
}

const (
	differs = "differs: "
	refusal = "refused: "
)

// judge wants that the case holds on both, but for what mesh/xds refuses with a reason.
func (c conformance) judge(t *testing.T, came []string) {
	t.Helper()

	if came[0] != ok {
		t.Errorf("istiod: %s", came[0])
	}

	switch {
	case c.unless == "" && came[1] != ok:
		t.Errorf("mesh/xds: %s", came[1])
	case c.unless != "" && !strings.HasPrefix(came[1], refusal):
		t.Errorf("mesh/xds: %s; it is listed as refused since %s", came[1], c.unless)
	}
}

// against runs the case, and leaves all as it was.
func (c conformance) against(ctx context.Context, subject subject) (came string) {
	w := &world{subject, ctx}

	defer func() {
		if err := w.restore(c.objects); err != nil {
			came = differs + "after it: " + err.Error() + "; before: " + came
		}
	}()

	if err := put(ctx, subject, c.objects); err != nil {
		return refusal + fieldOf(err)
	}

	var note noted

	switch err := c.check(w); {
	case errors.As(err, &note):
		return string(note)
	case err != nil:
		return differs + err.Error()
	}

	refused, err := w.refused()
	if err = cmp.Or(err, noneOf(refused)); err != nil {
		return differs + err.Error()
	}

	return ok
}

func noneOf(refused []string) error {
	if len(refused) > 0 {
		return fmt.Errorf("refused by clients: %v", refused)
	}

	return nil
}

// restore takes a case's objects away.
func (w *world) restore(documents string) error {
	if err := remove(w.ctx, w, documents); err != nil {
		return err
	}

	if err := put(w.ctx, w, base); err != nil {
		return err
	}

	return w.calm()
}

// fieldOf is the part of a refusal that names the field.
func fieldOf(err error) string {
	text := err.Error()
	if i := strings.Index(text, "spec."); i >= 0 {
		text = text[i:]
	}

	return text
}

// printTable prints rows as columns, the longest cells cut.
func printTable(to io.Writer, rows [][]string) {
	const longest = 76

	widths := make([]int, len(rows[0]))

	for _, row := range rows {
		for i := range row {
			row[i] = strings.ReplaceAll(row[i], "\n", " ")
			if len(row[i]) > longest {
				row[i] = row[i][:longest-3] + "..."
			}

			widths[i] = max(widths[i], len(row[i]))
		}
	}

	fmt.Fprintln(to, "\nConformance of istiod and mesh/xds")

	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += "  " + cell + strings.Repeat(" ", widths[i]-len(cell))
		}

		fmt.Fprintln(to, strings.TrimRight(line, " "))
	}
}
