package door_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/kubernetes/fake"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/controller/door"
)

const forAnn = "spiffe://cluster.local/ns/agents/sa/serin-gateway for ann"

// A user acts under the name that the cluster knows, whatever the client says of itself.
func TestUsersByToken(t *testing.T) {
	c := newCluster(t)
	address, announced := openDoor(t, c)

	ann := withToken("ann's")
	ann.headers["serin-actor"] = "root"

	who, err := get(t, ann.call(t, address, announced))
	if err != nil || who != forAnn {
		t.Errorf("%q, %v", who, err)
	}

	want := authorizationv1.SubjectAccessReviewSpec{
		User: "ann", UID: "7", Groups: []string{"dev"}, Extra: map[string]authorizationv1.ExtraValue{"scopes": {"a"}},
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: "serin.dev", Resource: "agents", Namespace: namespace, Name: "billing", Verb: "get",
		},
	}
	if diff := cmp.Diff(want, c.lastAsked()); diff != "" {
		t.Error(diff)
	}
}

func TestUsersByCertificate(t *testing.T) {
	c := newCluster(t)
	address, announced := openDoor(t, c)
	good := c.authority.issue(t, "bob", x509.ExtKeyUsageClientAuth, "ops")
	stranger := newAuthority(t).issue(t, "bob", x509.ExtKeyUsageClientAuth)
	server := c.authority.issue(t, "bob", x509.ExtKeyUsageServerAuth)

	who, err := get(t, caller{certificate: &good}.call(t, address, announced))
	if err != nil || !strings.HasSuffix(who, " for bob") || !cmp.Equal(c.lastAsked().Groups, []string{"system:authenticated", "ops"}) {
		t.Errorf("%q %v, %v", who, c.lastAsked().Groups, err)
	}

	for name, bad := range map[string]tls.Certificate{"a stranger's": stranger, "a server's": server} {
		_, err := get(t, caller{certificate: &bad}.call(t, address, announced))
		if fault.CodeOf(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "the cluster does not know this client certificate") {
			t.Errorf("%s: %v", name, err)
		}
	}

	// A token counts where a certificate does not.
	both := withToken("ann's")
	both.certificate = &stranger

	if who, err := get(t, both.call(t, address, announced)); err != nil || who != forAnn {
		t.Errorf("%q, %v", who, err)
	}
}

func TestStrangersStayOut(t *testing.T) {
	c := newCluster(t)
	address, announced := openDoor(t, c)

	for name, one := range map[string]struct {
		caller caller
		want   string
	}{
		"nobody":          {caller{}, "neither a bearer token nor a client certificate"},
		"an unknown one":  {withToken("eve's"), "does not take this bearer token (invalid bearer token)"},
		"another scheme":  {caller{headers: map[string]string{"authorization": "Basic ann's"}}, "neither a bearer token"},
		"an empty token":  {withToken(""), "neither a bearer token"},
		"a claimed actor": {caller{headers: map[string]string{"serin-actor": "ann"}}, "neither a bearer token"},
	} {
		_, err := get(t, one.caller.call(t, address, announced))
		if fault.CodeOf(err) != codes.Unauthenticated || !strings.Contains(err.Error(), one.want) || !strings.Contains(err.Error(), "kubectl auth whoami") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A refusal says who, what, where, and how to check; of streams too, before they begin.
func TestRights(t *testing.T) {
	c := newCluster(t)
	c.allow = func(spec authorizationv1.SubjectAccessReviewSpec) bool {
		return spec.ResourceAttributes.Verb == "promote"
	}
	address, announced := openDoor(t, c)
	client := rolloutv1.NewRolloutServiceClient(withToken("ann's").call(t, address, announced))

	_, err := client.AbortRollout(t.Context(), &rolloutv1.AbortRolloutRequest{Agent: "billing"})

	const want = `user "ann" may not abort agent "billing" in namespace "agents"; check with: kubectl auth can-i abort agents.serin.dev/billing -n agents`
	if found := fault.From(err); found.Code != codes.PermissionDenied || found.Message != want || found.Metadata["verb"] != "abort" {
		t.Errorf("%v", err)
	}

	_, err = client.ListRollouts(t.Context(), &rolloutv1.ListRolloutsRequest{})
	if fault.CodeOf(err) != codes.PermissionDenied || !strings.HasSuffix(err.Error(), "kubectl auth can-i list agents.serin.dev -n agents") {
		t.Errorf("%v", err)
	}

	stream, err := client.WatchRollouts(t.Context(), &rolloutv1.WatchRolloutsRequest{Agent: "billing"})
	if err == nil {
		_, err = stream.Recv()
	}

	if fault.CodeOf(err) != codes.PermissionDenied || !strings.Contains(err.Error(), `may not watch agent "billing"`) {
		t.Errorf("%v", err)
	}

	// Who may is let through, and what is behind the door answers.
	if _, err = client.PromoteRollout(t.Context(), &rolloutv1.PromoteRolloutRequest{Agent: "billing"}); fault.CodeOf(err) != codes.Unimplemented {
		t.Errorf("%v", err)
	}
}

func TestWatch(t *testing.T) {
	c := newCluster(t)
	address, announced := openDoor(t, c)
	ctx, cancel := context.WithCancel(t.Context())

	stream, err := rolloutv1.NewRolloutServiceClient(withToken("ann's").call(t, address, announced)).WatchRollouts(ctx, &rolloutv1.WatchRolloutsRequest{})
	if err != nil {
		t.Fatal(err)
	}

	change, err := stream.Recv()
	if err != nil || change.GetRollouts()[0].GetReason() != forAnn || c.lastAsked().ResourceAttributes.Name != "" {
		t.Errorf("%v, %v", change, err)
	}

	cancel()

	if _, err := stream.Recv(); fault.CodeOf(err) != codes.Canceled {
		t.Error(err)
	}
}

// Every method of the service has a verb, and asks for it.
func TestEveryMethodNeedsARight(t *testing.T) {
	c := newCluster(t)
	c.allow = func(authorizationv1.SubjectAccessReviewSpec) bool { return false }
	address, announced := openDoor(t, c)
	connection := withToken("ann's").call(t, address, announced)
	verbs := door.Verbs()
	description := rolloutv1.RolloutService_ServiceDesc

	for _, method := range description.Methods {
		name := "/" + description.ServiceName + "/" + method.MethodName

		err := connection.Invoke(t.Context(), name, &rolloutv1.GetRolloutRequest{Agent: "billing"}, &rolloutv1.GetRolloutResponse{})
		if fault.CodeOf(err) != codes.PermissionDenied || c.lastAsked().ResourceAttributes.Verb != verbs[name] {
			t.Errorf("%s: %v %v", name, c.lastAsked().ResourceAttributes, err)
		}

		delete(verbs, name)
	}

	for _, stream := range description.Streams {
		delete(verbs, "/"+description.ServiceName+"/"+stream.StreamName) // TestRights
	}

	if len(verbs) > 0 {
		t.Errorf("verbs of methods that there are not: %v", verbs)
	}
}

// Requests are checked after rights, so that nobody learns rules who may not call; bugs stay within.
func TestAnswers(t *testing.T) {
	c := newCluster(t)
	address, announced := openDoor(t, c)
	client := rolloutv1.NewRolloutServiceClient(withToken("ann's").call(t, address, announced))

	_, err := client.SetWeight(t.Context(), &rolloutv1.SetWeightRequest{Agent: "billing", Weight: 101})
	if found := fault.From(err); found.Code != codes.InvalidArgument || len(found.Violations) != 1 || found.Violations[0].Field != "weight" {
		t.Errorf("%v", err)
	}

	if _, err = client.RetryRollout(t.Context(), &rolloutv1.RetryRolloutRequest{Agent: "billing"}); !fault.Is(err, "PANIC") {
		t.Errorf("%v", err)
	}

	c.set(func() { c.down = true })

	if _, err = client.GetRollout(t.Context(), &rolloutv1.GetRolloutRequest{Agent: "billing"}); !fault.Is(err, "CLUSTER_UNAVAILABLE") {
		t.Errorf("%v", err)
	}
}

// What is not announced is not trusted, and the door speaks nothing but TLS 1.3.
func TestPinned(t *testing.T) {
	c := newCluster(t)
	address, announced := openDoor(t, c)
	other, second := openDoor(t, newCluster(t))

	if _, err := get(t, withToken("ann's").call(t, other, announced)); fault.CodeOf(err) != codes.Unavailable || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}

	if second.Certificate == announced.Certificate {
		t.Error("two doors with one certificate")
	}

	_, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}}).DialContext(t.Context(), "tcp", address.String())
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("%v", err)
	}
}

func TestNewNeeds(t *testing.T) {
	full := door.Config{Rollouts: rollouts{}, Kubernetes: fake.NewClientset(), Namespace: namespace, Pod: pod}

	for field, without := range map[string]func(*door.Config){
		"Rollouts":   func(c *door.Config) { c.Rollouts = nil },
		"Kubernetes": func(c *door.Config) { c.Kubernetes = nil },
		"Namespace":  func(c *door.Config) { c.Namespace = "" },
		"Pod":        func(c *door.Config) { c.Pod = "" },
	} {
		config := full
		without(&config)

		if _, err := door.New(config); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%s: %v", field, err)
		}
	}

	full.ListenAddress = "127.0.0.1:port"

	opened, err := door.New(full)
	if err != nil {
		t.Fatal(err)
	}

	if err := opened.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "127.0.0.1:port") {
		t.Error(err)
	}
}
