// Package history checks what concurrent clients of context stores were told: whether there is one order of all that they
// asked for, each thing between its call and its answer, in which a store that does one thing after the other would have
// said the same (linearizability). What got no answer may have happened at any time since, or never.
//
// The search is porcupine's. It grows with what has no answer, so that histories are best many and short.
package history

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Recorder takes down what clients ask and are told. It is safe for concurrent use.
type Recorder struct {
	began time.Time

	mu         sync.Mutex
	operations []porcupine.Operation
}

// NewRecorder makes one whose time begins now.
func NewRecorder() *Recorder { return &Recorder{began: time.Now()} }

// Now is the time of the record, for the beginning of an operation.
func (r *Recorder) Now() int64 { return time.Since(r.began).Nanoseconds() }

// Answered takes down an operation that began then and has its answer now.
func (r *Recorder) Answered(client int, asked, told any, began int64) {
	r.add(porcupine.Operation{ClientId: client, Input: asked, Output: told, Call: began, Return: r.Now()})
}

// Unanswered takes down an operation that began then and of which nobody knows what became, and never will.
func (r *Recorder) Unanswered(client int, asked, told any, began int64) {
	r.add(porcupine.Operation{ClientId: client, Input: asked, Output: told, Call: began, Return: math.MaxInt64})
}

func (r *Recorder) add(operation porcupine.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.operations = append(r.operations, operation)
}

// Operations are all until now.
func (r *Recorder) Operations() []porcupine.Operation {
	r.mu.Lock()
	defer r.mu.Unlock()

	return slices.Clone(r.operations)
}

// check looks for an order of the operations on one thing, for so long.
func check(about string, model porcupine.NondeterministicModel, operations []porcupine.Operation, limit time.Duration) error {
	switch porcupine.CheckOperationsTimeout(model.ToModel(), operations, limit) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("%s: no order of %d operations was found, or ruled out, within %s", about, len(operations), limit)
	case porcupine.Illegal:
		break
	}

	return fmt.Errorf("%s: no order of these operations explains all answers:\n%s", about, transcript(model, operations))
}

// transcript shows operations as a person would want to read them.
func transcript(model porcupine.NondeterministicModel, operations []porcupine.Operation) string {
	var text strings.Builder

	ordered := slices.SortedFunc(slices.Values(operations), func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })

	for _, one := range ordered {
		ended := "never"
		if one.Return != math.MaxInt64 {
			ended = time.Duration(one.Return).String()
		}

		fmt.Fprintf(&text, "  client %d, %s to %s: %s\n", one.ClientId, time.Duration(one.Call), ended,
			model.DescribeOperation(one.Input, one.Output))
	}

	return text.String()
}

// possible are next states, as porcupine takes them.
func possible[S any](states ...S) []any {
	all := make([]any, len(states))
	for i, state := range states {
		all[i] = state
	}

	return all
}

// impossible says that the answer could not have been given.
func impossible() []any { return nil }
