package llmsim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxBodyBytes is the largest request.
const maxBodyBytes = 32 << 20

func (s *Server) serveChat(writer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(writer, request.Body, maxBodyBytes))
	if err != nil {
		refuse(writer, http.StatusRequestEntityTooLarge, "invalid_request_error", "", err.Error())

		return
	}

	chat, err := readChat(body)
	if err != nil {
		refuse(writer, http.StatusBadRequest, "invalid_request_error", "", err.Error())

		return
	}

	settings, err := s.settings().steer(chat.system())
	if err != nil {
		refuse(writer, http.StatusBadRequest, "invalid_request_error", "invalid_sim_line", err.Error())

		return
	}

	chance := s.chance(chat, request.Header)
	if faulted(writer, settings.faults, chance) {
		return
	}

	first := settings.ttft
	if chance.passing.hits("slow", settings.faults.Slow) {
		first += settings.faults.SlowBy
	}

	if !pause(request.Context(), first) {
		return
	}

	answer := s.answer(chat, settings, chance.lasting)
	fault := chance.fault(settings.faults)

	if chat.Stream {
		answer.stream(request.Context(), writer, settings.tps, fault)
	} else {
		answer.write(request.Context(), writer, settings.tps, fault)
	}
}

// chance is what a request draws from: once for good, and anew with each try.
type chance struct{ lasting, passing draw }

// chance depends on what a request says, not on when it comes. Ids of calls are left out: they are made up.
func (s *Server) chance(chat *chatRequest, header http.Header) chance {
	parts := []string{chat.Model, chat.User, strconv.FormatInt(chat.Seed, 10)}

	for _, message := range chat.Messages {
		parts = append(parts, message.Role, string(message.Content))
		for _, call := range message.ToolCalls {
			parts = append(parts, call.Function.Name, call.Function.Arguments)
		}
	}

	tried := header.Get("Serin-Try") + "/" + header.Get("X-Stainless-Retry-Count")

	return chance{lasting: newDraw(s.cfg.Seed, parts...), passing: newDraw(s.cfg.Seed, append(parts, tried)...)}
}

// fault is what happens to an answer on its way.
type fault int

const (
	faultNone fault = iota
	faultCut
	faultMalformed
)

func (c chance) fault(faults Faults) fault {
	switch {
	case c.passing.hits("cut", faults.Cut):
		return faultCut
	case c.passing.hits("malformed", faults.Malformed):
		return faultMalformed
	default:
		return faultNone
	}
}

// faulted answers with the faults that take the place of an answer.
func faulted(writer http.ResponseWriter, faults Faults, chance chance) bool {
	switch {
	case chance.passing.hits("ratelimit", faults.RateLimit):
		seconds := max(0, int64((faults.RetryAfter+time.Second-1)/time.Second))
		writer.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
		writer.Header().Set("Retry-After-Ms", strconv.FormatInt(faults.RetryAfter.Milliseconds(), 10))
		refuse(writer, http.StatusTooManyRequests, "requests", "rate_limit_exceeded", "Simulated rate limit reached.")
	case chance.lasting.hits("fail", faults.Fail):
		refuse(writer, faults.Status, "server_error", "simulated_failure",
			fmt.Sprintf("Simulated failure with status %d.", faults.Status))
	default:
		return false
	}

	return true
}

// answer decides what to say.
func (s *Server) answer(chat *chatRequest, settings settings, draw draw) *answer {
	made := &answer{
		id:      fmt.Sprintf("chatcmpl-sim%016x", draw.request),
		created: s.cfg.Now().Unix(),
		model:   "simulated-" + chat.Model,
		asked:   chat.StreamOptions.IncludeUsage,
		finish:  "stop",
	}

	if draw.hits("refuse", settings.faults.Refuse) {
		made.text = fit(refusal, settings.words, draw)
	} else {
		made.take(newPlanner(chat, s.cfg.Now(), draw).plan(), settings, draw)
	}

	made.truncate(chat.limit())
	made.usage = count(chat, made)

	return made
}

// take turns a plan into an answer.
func (a *answer) take(plan plan, settings settings, draw draw) {
	a.text = plan.text
	if len(plan.calls) == 0 {
		a.text = fit(a.text, settings.words, draw)

		return
	}

	a.finish = "tool_calls"

	for at, planned := range plan.calls {
		arguments, err := json.Marshal(planned.arguments)
		if err != nil { // values came from JSON or are plain
			arguments = []byte("{}")
		}

		made := call{ID: fmt.Sprintf("call_%016x_%d", draw.request, at), Type: "function"}
		made.Function.Name, made.Function.Arguments = planned.name, string(arguments)
		a.calls = append(a.calls, made)
	}
}

// pause waits; it reports false if the client went away.
func pause(ctx context.Context, wait time.Duration) bool {
	if wait <= 0 {
		return true
	}

	timer := time.NewTimer(wait)
	defer timer.Stop()

	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Server) serveModels(writer http.ResponseWriter, _ *http.Request) {
	type model struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}

	models := make([]model, 0, len(s.cfg.Models))
	for _, name := range s.cfg.Models {
		models = append(models, model{ID: name, Object: "model", OwnedBy: "serin-llmsim"})
	}

	writeJSON(writer, http.StatusOK, map[string]any{"object": "list", "data": models, "simulated": true})
}

func serveNothing(writer http.ResponseWriter, request *http.Request) {
	refuse(writer, http.StatusNotFound, "invalid_request_error", "", "there is no "+request.Method+" "+request.URL.Path)
}

// refuse answers with OpenAI's error format.
func refuse(writer http.ResponseWriter, status int, kind, code, message string) {
	problem := map[string]any{"message": message, "type": kind, "param": nil, "code": nil}
	if code != "" {
		problem["code"] = code
	}

	writeJSON(writer, status, map[string]any{"error": problem})
}

func writeJSON(writer http.ResponseWriter, status int, value any) {
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(status)
	_ = json.NewEncoder(writer).Encode(value) // the client may be gone
}
