package app

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

// checkRoom says which rooms can be where, and what they need in a pod.
func (c *workloadConfig) checkRoom(problems *problems) {
	if c.Room != "ambassador" && c.Room != "retriever" && c.plane() == planeNone {
		problems.add("dataPlane.mode", `"none": must be another for room %q, which others of the mesh call`, c.Room)
	}

	switch c.Room {
	case "mesh":
		problems.add("room", `"mesh": must run in mode embedded: elsewhere istiod is the control plane`)
	case "ambassador":
		c.checkAmbassador(problems)
	case "retriever":
		c.checkRetriever(problems)
	case "agent":
		c.checkAgent(problems)
	case "gateway":
		c.checkGateway(problems)
	case "context":
		c.checkContext(problems)
	case "tools":
		c.checkCatalogue(problems)
	}
}

func (c *workloadConfig) checkContext(problems *problems) {
	switch {
	case c.Context == nil || c.Context.Database == "" && !c.Context.Postgres:
		problems.add("context.database",
			`"": must be the path of a file on a volume that outlives the pod, or context.postgres must be true`)
	case c.Context.Database != "" && c.Context.Postgres:
		problems.add("context.database", "%q: must be absent where context.postgres is true", c.Context.Database)
	}
}

func (c *workloadConfig) checkAmbassador(problems *problems) {
	if c.plane() != planeNone {
		problems.add("dataPlane.mode", "%q: must be none for an ambassador, which serves its own pod alone", c.plane())
	}

	if address := c.Listen["llm"]; !isOwnPod(address) {
		problems.add("listen.llm",
			"%q: must be a loopback address, such as 127.0.0.1:7070: it is plain HTTP, and nobody is asked who they are", address)
	}
}

func (c *workloadConfig) checkAgent(problems *problems) {
	if c.Agent == nil || c.Agent.File == "" || c.Agent.Revision == "" {
		problems.add("agent", "must have file, the resolved agent, and revision, the digest that it must have")
	}

	endpoint := c.Targets[rpc.Ambassador]
	rest, plain := strings.CutPrefix(endpoint, "http://")
	host, _, _ := strings.Cut(rest, "/")

	if !plain || !isOwnPod(host) {
		problems.add("targets."+rpc.Ambassador,
			"%q: must be the URL of the pod's own ambassador, such as http://127.0.0.1:7070/v1, here or in the environment variable LLM_ENDPOINT",
			endpoint)
	}
}

func (c *workloadConfig) checkGateway(problems *problems) {
	settings := c.Gateway
	if settings == nil {
		settings = &gatewaySettings{}
	}

	if settings.TokenFile == "" && !settings.InsecureNoAuth {
		problems.add("gateway.tokenFile",
			`"": must be a file with the users' tokens, or nobody would have to authenticate; gateway.insecureNoAuth says that this is wanted`)
	}

	for _, violation := range settings.Check(settings.TokenFile != "") {
		problems.add("gateway."+violation.Field, "%s", violation.Message)
	}

	if public := c.Listen["public"]; (settings.PublicTLS == "") != (public == "") {
		problems.add("gateway.publicTLS", "%q: must be a directory with tls.crt and tls.key if listen.public is set, and absent if not; that is %q",
			settings.PublicTLS, public)
	}

	c.checkCatalogue(problems)
}

func (c *workloadConfig) checkCatalogue(problems *problems) {
	if c.Catalogue == "" {
		problems.add("catalogue", `"": must be the file that says which agents there are`)
	}
}

// isOwnPod reports whether a host:port, or a host, is reached from within the pod alone.
func isOwnPod(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}

	return isLoopback(host)
}

// problems are fields that are not right.
type problems struct{ found []fault.Violation }

func (p *problems) add(field, format string, args ...any) {
	p.found = append(p.found, fault.Violation{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (p *problems) err() error {
	if len(p.found) == 0 {
		return nil
	}

	return fault.Invalid(slices.Clone(p.found)...)
}
