package ambassador

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/serinhq/serin/internal/fault"
)

// prices is the price table at work: the defaults, and over them those of a file, which is read again when it changes.
type prices struct {
	path   string
	logger *slog.Logger
	now    func() time.Time

	mu      sync.Mutex
	checked time.Time
	seen    fileState
	// defaults are built in; table has the file's over them.
	defaults, table priceTable
}

// fileState tells whether a file is still the same. A rotation that swaps a link changes the time, too.
type fileState struct {
	changed time.Time
	size    int64
}

// newPrices reads the table. It fails with a *fault.Error that names what is wrong with the file.
func newPrices(path string, logger *slog.Logger) (*prices, error) {
	defaults, err := parsePrices(defaultPrices)
	if err != nil {
		return nil, fmt.Errorf("prices.yaml: %w", err)
	}

	made := &prices{path: path, logger: logger, now: time.Now, defaults: defaults, table: defaults}
	if path == "" {
		return made, nil
	}

	if _, err := made.read(); err != nil {
		return nil, fault.Invalid(fault.Violation{Field: "pricesFile", Message: path + ": " + err.Error()})
	}

	return made, nil
}

// find returns what a model costs; false if nobody knows.
func (p *prices) find(ctx context.Context, provider, model string) (price, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.refresh(ctx)

	return p.table.find(provider, model)
}

// refresh looks at the file now and then. A file that is wrong, or gone, changes nothing: the last good one holds.
func (p *prices) refresh(ctx context.Context) {
	now := p.now()
	if p.path == "" || now.Sub(p.checked) < keyCheck {
		return
	}

	p.checked = now

	changed, err := p.read()

	switch {
	case err != nil:
		p.logger.LogAttrs(ctx, slog.LevelWarn, "price file can't be read; the last prices hold",
			slog.String("file", p.path), slog.Any("error", err))
	case changed:
		p.logger.LogAttrs(ctx, slog.LevelInfo, "prices changed", slog.String("file", p.path))
	}
}

// read takes the file's prices over the defaults, if it is another than was read.
func (p *prices) read() (changed bool, err error) {
	info, err := os.Stat(p.path)
	if err != nil {
		return false, err //nolint:wrapcheck // it names the file
	}

	state := fileState{info.ModTime(), info.Size()} // of what is read below, or older
	if state == p.seen {
		return false, nil
	}

	p.seen = state

	data, err := os.ReadFile(p.path)
	if err != nil {
		return false, err //nolint:wrapcheck // it names the file
	}

	own, err := parsePrices(data)
	if err != nil {
		return false, err
	}

	p.table, p.checked = maps.Clone(p.defaults), p.now()
	maps.Copy(p.table, own)

	return true, nil
}
