package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/protobuf/proto"

	"github.com/serinhq/serin/internal/rpc/rpctest"
	"github.com/serinhq/serin/mesh/e2e/conformance/orders"
)

// patience is how long a change may take to arrive; the slowest is a readiness probe.
const patience = 15 * time.Second

// world is a subject in the middle of a case.
type world struct {
	subject

	ctx context.Context //nolint:containedctx // a case's own
}

// headers are what a call carries.
type headers map[string]string

// ask sends an order to a process, and returns what it says.
func ask(ctx context.Context, method, url string, body any) ([]byte, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode an order: %w", err)
	}

	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(encoded))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, url, err)
	}

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	defer response.Body.Close()

	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, answer)
	}

	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, url, err)
	}

	return answer, nil
}

func tell(ctx context.Context, method, url string) error {
	_, err := ask(ctx, method, url, nil)

	return err
}

// calls has a client make calls.
func (w *world) calls(client string, ordered orders.Calls) ([]orders.Answer, error) {
	if ordered.Via == "" {
		ordered.Via = orders.Mesh
	}

	if ordered.Target == "" {
		ordered.Target = "xds:///" + host + ":9000"
	}

	said, err := ask(w.ctx, http.MethodPost, "http://"+w.control(client)+"/calls", ordered)
	if err != nil {
		return nil, err
	}

	var answers []orders.Answer
	if err := json.Unmarshal(said, &answers); err != nil {
		return nil, fmt.Errorf("read answers: %w", err)
	}

	return answers, nil
}

// eventually returns nil once there is no error any more, twice in a row; or the last one when patience is over.
func (w *world) eventually(holds func() error) error {
	deadline := time.Now().Add(patience)

	for good := 0; ; {
		err := holds()

		good++
		if err != nil {
			good = 0
		}

		switch {
		case good == 2:
			return nil
		case err != nil && time.Now().After(deadline):
			return err
		}

		select {
		case <-w.ctx.Done():
			return w.ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// got sums answers up, such as "OK from a: 10" or "Unavailable: 2".
func got(answers []orders.Answer) map[string]int {
	sums := map[string]int{}

	for _, answer := range answers {
		key := answer.Code
		if answer.Code == "OK" {
			key += " from " + answer.Revision
		}

		sums[key]++
	}

	return sums
}

// summed is such a sum as text.
func summed(answers []orders.Answer) string {
	sums, text := got(answers), ""
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		text += fmt.Sprintf(", %s: %d", key, sums[key])
	}

	return strings.TrimPrefix(text, ", ")
}

// described is such a sum as text, with what was said about failures.
func described(answers []orders.Answer) string {
	text, messages := summed(answers), map[string]bool{}

	for _, answer := range answers {
		if answer.Message != "" {
			messages[answer.Message] = true
		}
	}

	for _, message := range slices.Sorted(maps.Keys(messages)) {
		text += ", " + message
	}

	return text
}

// all wants that calls with the headers come to one thing, such as "OK from a".
func (w *world) all(client string, ordered orders.Calls, want string) error {
	ordered.Count = max(ordered.Count, 6)

	return w.eventually(func() error {
		answers, err := w.calls(client, ordered)
		if err == nil && got(answers)[want] != len(answers) {
			err = fmt.Errorf("%s %v: %s; want %s", client, ordered.Headers, described(answers), want)
		}

		return err
	})
}

// lands wants that calls of the caller with the headers are answered by a revision.
func (w *world) lands(with headers, revision string) error {
	return w.all("caller", orders.Calls{Headers: with}, "OK from "+revision)
}

// fails wants that calls of the caller with the headers fail with a code.
func (w *world) fails(with headers, code string) error {
	return w.all("caller", orders.Calls{Headers: with}, code)
}

// counted has a server fail so many calls, makes one call, and returns how many attempts came.
func (w *world) counted(server string, failing int, with headers) (attempts int, answer orders.Answer, err error) {
	if err := tell(w.ctx, http.MethodPut, fmt.Sprintf("http://%s/failing?calls=%d", w.control(server), failing)); err != nil {
		return 0, orders.Answer{}, err
	}

	answers, err := w.calls("caller", orders.Calls{Headers: with})
	if err != nil {
		return 0, orders.Answer{}, err
	}

	said, err := ask(w.ctx, http.MethodGet, "http://"+w.control(server)+"/calls", nil)
	if err != nil {
		return 0, orders.Answer{}, err
	}

	if attempts, err = strconv.Atoi(string(said)); err != nil {
		return 0, orders.Answer{}, fmt.Errorf("count attempts: %w", err)
	}

	return attempts, answers[0], tell(w.ctx, http.MethodPut, "http://"+w.control(server)+"/failing?calls=0")
}

// refused is what the processes refuse of what the control plane says, by CSDS.
func (w *world) refused() ([]string, error) {
	var all []string

	for _, process := range processes() {
		if process.namespace != namespace {
			continue // it does not call through the mesh
		}

		said, err := ask(w.ctx, http.MethodGet, "http://"+w.control(process.name)+"/mesh", nil)
		if err != nil {
			return nil, err
		}

		var status statusv3.ClientStatusResponse
		if err := proto.Unmarshal(said, &status); err != nil {
			return nil, fmt.Errorf("read what %s has of the mesh: %w", process.name, err)
		}

		taken, refused := rpctest.MeshStatus(&status)
		if taken == 0 {
			return nil, fmt.Errorf("%s has nothing of the mesh", process.name)
		}

		for _, one := range refused {
			all = append(all, process.name+": "+one)
		}
	}

	return all, nil
}

// calm waits until all is as between two cases: both clients reach all servers, and nobody refuses anything.
func (w *world) calm() error {
	return w.eventually(func() error {
		for _, client := range []string{"caller", "stranger"} {
			answers, err := w.calls(client, orders.Calls{Count: 30})
			if err != nil {
				return err
			}

			servers := map[string]bool{}
			for _, answer := range answers {
				servers[answer.By] = true
			}

			if len(servers) != 3 {
				return fmt.Errorf("%s does not reach just all servers: %s", client, described(answers))
			}
		}

		refused, err := w.refused()
		if err == nil && len(refused) > 0 {
			err = fmt.Errorf("refused: %v", refused)
		}

		return err
	})
}
