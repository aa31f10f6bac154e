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
	table   priceTable
}

// fileState tells whether a file is still the same. A rotation that swaps a link changes the time, too.
type fileState struct {
	changed time.Time
	size    int64
}

// newPrices reads the table. It fails with a *fault.Error that names what is wrong with the file.
func newPrices(path string, logger *slog.Logger) (*prices, error) {
	made := &prices{path: path, logger: logger, now: time.Now}

	table, err := parsePrices(defaultPrices)
	if err != nil {
		return nil, fmt.Errorf("prices.yaml: %w", err)
	}

	made.table = table

	if path == "" {
		return made, nil
	}

	if err := made.read(); err != nil {
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

	info, err := os.Stat(p.path)
	if err == nil && (fileState{info.ModTime(), info.Size()}) == p.seen {
		return
	}

	if err = p.read(); err != nil {
		p.logger.LogAttrs(ctx, slog.LevelWarn, "price file can't be read; the last prices hold",
			slog.String("file", p.path), slog.Any("error", err))

		return
	}

	p.logger.LogAttrs(ctx, slog.LevelInfo, "prices changed", slog.String("file", p.path))
}

// read takes the file's prices over the defaults.
func (p *prices) read() error {
	info, err := os.Stat(p.path)
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}

	p.seen = fileState{info.ModTime(), info.Size()} // of what is read below, or older

	data, err := os.ReadFile(p.path)
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}

	own, err := parsePrices(data)
	if err != nil {
		return err
	}

	table, err := parsePrices(defaultPrices)
	if err != nil {
		return err
	}

	maps.Copy(table, own)
	p.table, p.checked = table, p.now()

	return nil
}
