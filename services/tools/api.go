package tools

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/grpc/codes"

	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/agentspec/schema"
	"github.com/serinhq/serin/internal/dialguard"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/services/tools/outbound"
	"github.com/serinhq/serin/services/tools/webapi"
)

// How much of an answer is read: more than is shown, so that JSON can be checked as a whole.
const (
	leastRead = 1 << 20
	mostRead  = 32 << 20
)

// longestWait is the most that a server's Retry-After holds up a call.
const longestWait = 5 * time.Second

// api is an HTTP API whose requests are tools. It is the backend of these tools, and what it has never changes.
type api struct {
	name       string
	base       *url.URL
	client     *http.Client
	operations map[string]*webapi.Operation // by their own names
	tools      map[string]*tool             // by model name
	// problem is why there are no tools.
	problem error
}

// newAPI makes the tools of a declaration. What is wrong with it is told when they are asked for, so that it keeps nobody
// from other servers' tools.
func newAPI(server agentspec.MCPServer, config Config) *api {
	made := &api{name: server.Metadata.Name}

	if problems := made.read(&server.Spec); len(problems) > 0 {
		made.problem = problems
	} else if client, err := outbound.New(outbound.Config{Spec: &server.Spec, Getenv: config.Getenv}); err != nil {
		made.problem = err
	} else {
		made.client = client
	}

	if made.problem != nil {
		config.Telemetry.Logger.Error("tool server can't be used", "server", made.name, "error", made.problem.Error())
	}

	return made
}

// read makes the tools, or returns what is wrong with what they are made of, by field.
func (a *api) read(spec *agentspec.MCPServerSpec) agentspec.Problems {
	base, err := url.Parse(spec.URL)
	if err != nil {
		return agentspec.Problems{{Field: "spec.url", Message: err.Error()}}
	}

	a.base = base
	a.operations, a.tools = map[string]*webapi.Operation{}, map[string]*tool{}

	operations, problems := operationsOf(spec)

	for _, each := range operations {
		tool, err := a.newTool(each.operation, spec)
		if err != nil {
			problems = append(problems, agentspec.Problem{Field: each.field, Message: err.Error()})

			continue
		}

		if other := a.tools[tool.about.GetName()]; other != nil {
			problems = append(problems, agentspec.Problem{
				Field: each.field, Message: fmt.Sprintf("%s and %s would both be named %s", other.remote, tool.remote, tool.about.GetName()),
			})
		}

		a.operations[tool.remote], a.tools[tool.about.GetName()] = each.operation, tool
	}

	return append(problems, a.strangers(spec)...)
}

// strangers are settings of tools that there are not.
func (a *api) strangers(spec *agentspec.MCPServerSpec) agentspec.Problems {
	var problems agentspec.Problems

	for name := range spec.Tools {
		if a.operations[name] == nil {
			problems = append(problems, agentspec.Problem{Field: "spec.tools." + name, Message: "there is no tool of this name"})
		}
	}

	return problems
}

// found is an operation and where it was declared.
type found struct {
	operation *webapi.Operation
	field     string
}

func operationsOf(spec *agentspec.MCPServerSpec) ([]found, agentspec.Problems) {
	if spec.OpenAPI != nil { // there is either
		return documented(spec.OpenAPI)
	}

	var (
		operations []found
		problems   agentspec.Problems
	)

	for i := range spec.HTTP {
		field := fmt.Sprintf("spec.http[%d]", i)

		operation, err := webapi.FromHTTP(&spec.HTTP[i])
		if err != nil {
			problems = append(problems, agentspec.Problem{Field: field, Message: err.Error()})
		} else {
			operations = append(operations, found{operation, field})
		}
	}

	return operations, problems
}

// documented are the operations of a document that are tools.
func documented(api *agentspec.OpenAPI) ([]found, agentspec.Problems) {
	document, err := webapi.ParseOpenAPI([]byte(api.Document))
	if err != nil {
		return nil, agentspec.Problems{{Field: "spec.openapi", Message: err.Error()}}
	}

	var (
		operations []found
		problems   agentspec.Problems
	)

	for i, id := range api.Operations {
		field := fmt.Sprintf("spec.openapi.operations[%d]", i)

		operation, err := document.Operation(id)
		if err != nil {
			problems = append(problems, agentspec.Problem{Field: field, Message: fmt.Sprintf("%q: %s", id, err)})
		} else {
			operations = append(operations, found{operation, field})
		}
	}

	return operations, problems
}

func (a *api) newTool(operation *webapi.Operation, spec *agentspec.MCPServerSpec) (*tool, error) {
	input, err := schema.Compile(operation.Input)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}

	settings := settingsOf(*spec, operation.Name)
	made := &tool{
		about: &toolsv1.Tool{
			Name: modelName(a.name, operation.Name), Description: operation.Description, Server: a.name,
			InputSchema: string(operation.Input), OutputSchema: string(operation.Output),
			NeedsApproval: settings.Approval == alwaysAsk, Idempotent: operation.IsSafe(),
		},
		remote: operation.Name, input: input, backend: a,
	}

	if settings.Idempotent != nil {
		made.about.Idempotent = *settings.Idempotent
	}

	if len(operation.Output) > 0 {
		if made.output, err = schema.Compile(operation.Output); err != nil {
			return nil, fmt.Errorf("output: %w", err)
		}
	}

	made.limit(settings)
	made.slots = make(slots, slotLimit(settings.MaxConcurrent))

	return made, nil
}

// run keeps nothing but connections.
func (a *api) run(ctx context.Context) {
	<-ctx.Done()

	if a.client != nil {
		a.client.CloseIdleConnections()
	}
}

func (a *api) up() error {
	if a.problem == nil {
		return nil
	}

	return fault.New(codes.Unavailable, "TOOL_SERVER_DOWN", "tool server %s can't be used: %s", a.name, describeProblem(a.problem)).
		With("server", a.name)
}

func (a *api) listed(context.Context) (map[string]*tool, error) { return a.tools, a.up() }

func (a *api) offers(grant string) bool { return offersOne(a.tools, grant) }

func (a *api) ready(context.Context) error { return a.up() }

// call sends a request. What is no answer of the API, or none that says that it is done with the request, is an error,
// where the call may be sent again or its outcome is not known.
func (a *api) call(ctx context.Context, call invocation) (reply, error) {
	ctx, trace := outbound.WithTrace(ctx)

	request, err := a.operations[call.tool].Request(ctx, a.base, call.arguments)
	if err != nil {
		return reply{text: "arguments: " + clip(err.Error(), maxProblem) + ". Nothing was sent.", failed: true}, nil
	}

	if call.idempotent && !a.operations[call.tool].IsSafe() {
		request.Header.Set("Idempotency-Key", call.callID)
	}

	response, err := a.client.Do(request) //nolint:bodyclose // webapi.Read closes it
	if err != nil {
		return a.unanswered(trace, err)
	}

	answer, err := webapi.Read(response, min(max(leastRead, 4*call.maxOutput), mostRead))
	if err != nil {
		return reply{}, fmt.Errorf("%s: %w", answer.Line(), err)
	}

	if isNoAnswer(answer.Status, call.idempotent) {
		a.wait(ctx, response)

		return reply{}, errors.New(problemText(answer))
	}

	return newWebReply(answer), nil
}

// unanswered tells what went wrong with a request that got no answer that was taken.
func (a *api) unanswered(trace *outbound.Trace, err error) (reply, error) {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // the URL has the arguments, which whoever reads this knows
	}

	switch {
	case errors.Is(err, outbound.ErrRedirect), errors.Is(err, dialguard.ErrAddress):
		return reply{text: "The tool did not run: " + clip(err.Error(), maxProblem), failed: true}, nil
	case !trace.Sent():
		return reply{}, fmt.Errorf("%w: %w", errNotSent, err)
	default:
		return reply{}, err
	}
}

// wait holds up the next attempt as long as the server asks for, within limits.
func (a *api) wait(ctx context.Context, response *http.Response) {
	if asked, err := time.ParseDuration(response.Header.Get("Retry-After") + "s"); err == nil && asked > 0 {
		pauseFor(ctx, min(asked, longestWait))
	}
}

// isNoAnswer reports whether a status says that the API did not answer, but something before it, or that it can't now. Of a
// call that must not be sent again only those are none that leave open whether it ran.
func isNoAnswer(status int, idempotent bool) bool {
	switch status {
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return idempotent
	default:
		return false
	}
}

// newWebReply reads an answer. One without success is an error of the tool's.
func newWebReply(answer webapi.Answer) reply {
	switch {
	case !answer.IsOK():
		return reply{text: problemText(answer), failed: true}
	case answer.Cut:
		return reply{text: answer.Text + "\n[the answer has more than that]"}
	default:
		return reply{text: answer.Text, structured: answer.JSON}
	}
}

func problemText(answer webapi.Answer) string {
	if answer.Text == "" {
		return answer.Line()
	}

	return answer.Line() + ": " + clip(answer.Text, maxProblem)
}
