package binaries

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progressEvery is the time between two lines about a build that goes on.
const progressEvery = 15 * time.Second

// buildWatch tells how a build goes. The go command's output is written to it: one package a line.
type buildWatch struct {
	name     string
	progress io.Writer
	began    time.Time
	stop     chan struct{}
	done     chan struct{}

	mu       sync.Mutex
	packages int
	output   bytes.Buffer
}

func watchBuild(name string, progress io.Writer) *buildWatch {
	watch := &buildWatch{name: name, progress: progress, began: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	_, _ = fmt.Fprintf(progress, "building %s\n", name)

	go watch.tell()

	return watch
}

// Write takes the go command's output.
func (w *buildWatch) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.packages += bytes.Count(data, []byte("\n"))
	w.output.Write(data)

	return len(data), nil
}

func (w *buildWatch) tell() {
	defer close(w.done)

	tick := time.NewTicker(progressEvery)
	defer tick.Stop()

	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			_, _ = fmt.Fprintf(w.progress, "building %s: %d packages compiled, %s\n", w.name, w.compiled(), w.elapsed())
		}
	}
}

func (w *buildWatch) compiled() int {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.packages
}

func (w *buildWatch) elapsed() time.Duration { return time.Since(w.began).Round(time.Second) }

// finish tells how the build ended; an error gets what the compiler had to say.
func (w *buildWatch) finish(err error) error {
	close(w.stop)
	<-w.done

	if err == nil {
		_, _ = fmt.Fprintf(w.progress, "built %s in %s\n", w.name, w.elapsed())

		return nil
	}

	w.mu.Lock()
	defer w.mu.Unlock()

	lines := strings.Split(strings.TrimSpace(w.output.String()), "\n")

	return fmt.Errorf("build %s: %w\n%s", w.name, err, strings.Join(lines[max(0, len(lines)-20):], "\n"))
}
