package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// silent stands for the last words of a run that had none.
const silent = "it wrote nothing to its log"

// OpenLog opens a log to append to. One that is larger than the default of [Config.MaxLogBytes] is put aside before.
func OpenLog(path string) (*os.File, error) {
	if err := rotate(path, defaultMaxLogBytes); err != nil {
		return nil, err
	}

	log, _, err := openLog(path)

	return log, err
}

// openLog opens a log to append to, and says where what is appended begins.
func openLog(path string) (log *os.File, begin int64, err error) {
	log, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // the path is the supervisor's own
	if err != nil {
		return nil, 0, fmt.Errorf("open log: %w", err)
	}

	info, err := log.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("measure log: %w", err), log.Close())
	}

	return log, info.Size(), nil
}

// rotate puts a log that has grown beyond the limit aside, in place of the one put aside before.
func rotate(path string, limit int64) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}

	if err != nil {
		return fmt.Errorf("measure log: %w", err)
	}

	if info.Size() <= limit {
		return nil
	}

	if err := os.Rename(path, path+".1"); err != nil {
		return fmt.Errorf("put log aside: %w", err)
	}

	return nil
}

// lastWords returns the last line that was written to a log since it had begin bytes, at most 500 bytes of it.
func lastWords(path string, begin int64) string {
	const enough = 4096

	file, err := os.Open(path) //nolint:gosec // the path is the supervisor's own
	if err != nil {
		return "no log"
	}
	defer file.Close() //nolint:errcheck // only read

	info, err := file.Stat()
	if err != nil {
		return "no log"
	}

	from := max(begin, info.Size()-enough)
	data, _ := io.ReadAll(io.NewSectionReader(file, from, enough)) // what was read is what there is to say

	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	last := lines[len(lines)-1]

	if last == "" {
		return silent
	}

	return last[max(0, len(last)-500):]
}
