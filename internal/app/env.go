package app

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"
	"golang.org/x/term"
)

// Env is what a command touches of the world outside, so that tests run commands in process.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Environ is the whole environment, name=value; workloads inherit parts of it.
	Environ []string
	// Getenv reads the environment; nothing is set if it is nil.
	Getenv func(string) string
	// IsTerminal says that a person sits at Stdin and Stdout: questions may be asked, and colours shown.
	IsTerminal bool
	// Height is how many lines Stdout shows at once; 0, or a nil function, if that is not known.
	Height func() int
	// Program is what the process was called as: the path of a binary.
	Program string
	// OpenAPI is the document that the gateway serves.
	OpenAPI []byte
	// Signals subscribes to interrupts; nil means the process's own.
	Signals func() (signals <-chan os.Signal, stop func())
}

// ProcessEnv is the environment of this process.
func ProcessEnv() *Env {
	return &Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(), Getenv: os.Getenv, Program: os.Args[0],
		IsTerminal: isTerminal(os.Stdin) && isTerminal(os.Stdout), Height: height,
	}
}

func isTerminal(file *os.File) bool {
	return isatty.IsTerminal(file.Fd()) || isatty.IsCygwinTerminal(file.Fd())
}

func height() int {
	_, lines, _ := term.GetSize(int(os.Stdout.Fd())) // 0 if it is none

	return lines
}

// get reads a variable of the environment.
func (e *Env) get(name string) string {
	if e.Getenv == nil {
		return ""
	}

	return e.Getenv(name)
}

// colours reports whether output may be coloured: see https://no-color.org.
func (e *Env) colours() bool {
	return e.IsTerminal && e.get("NO_COLOR") == "" && e.get("TERM") != "dumb"
}

// signals subscribes to interrupts.
func (e *Env) signals() (signals <-chan os.Signal, stop func()) {
	if e.Signals != nil {
		return e.Signals()
	}

	own := make(chan os.Signal, 2)
	signal.Notify(own, os.Interrupt, syscall.SIGTERM)

	return own, func() { signal.Stop(own) }
}
