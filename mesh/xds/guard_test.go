package xds

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// direct calls a backend without the mesh, each time on a new connection: an open one may keep the rules that it was
// made under for a moment.
func (m *mesh) direct(b *backend, security credentials.TransportCredentials) (caller string, err error) {
	m.Helper()

	connection, err := grpc.NewClient(b.address, grpc.WithTransportCredentials(security))
	m.must(err)

	defer connection.Close()

	var answer wrapperspb.StringValue
	err = connection.Invoke(m.Context(), echoMethod, wrapperspb.String(""), &answer)
	_, caller, _ = strings.Cut(answer.GetValue(), " ")

	return caller, err
}

// Every way to say who may call does in grpc-go what it says.
func TestWhoMayCall(t *testing.T) {
	m := startMesh(t)
	b := m.one()
	callers := map[string]credentials.TransportCredentials{}

	for _, account := range []string{"gateway", "stranger", "other/gateway"} {
		callers[account] = credentials.NewTLS(m.credentials(t.Context(), account).ClientTLS(identify("billing")))
	}

	for policy, want := range map[string]string{
		"{action: ALLOW, rules: [{from: [{source: {namespaces: [default]}}]}]}":                                              "gateway stranger",
		"{action: ALLOW, rules: [{from: [{source: {namespaces: ['oth*']}}]}]}":                                               "other/gateway",
		"{action: ALLOW, rules: [{from: [{source: {notNamespaces: [default]}}]}]}":                                           "other/gateway",
		"{action: ALLOW, rules: [{from: [{source: {notPrincipals: [cluster.local/ns/default/sa/stranger]}}]}]}":              "gateway other/gateway",
		"{action: ALLOW, rules: [{from: [{source: {principals: ['*/sa/gateway'], notNamespaces: [other]}}]}]}":               "gateway",
		"{action: ALLOW, rules: [{from: [{source: {serviceAccounts: [other/gateway, stranger]}}]}]}":                         "other/gateway stranger",
		"{action: ALLOW, rules: [{to: [{operation: {notPaths: [/test.Echo/Call]}}]}]}":                                       "",
		"{action: ALLOW, rules: [{when: [{key: source.namespace, values: [other]}]}]}":                                       "other/gateway",
		"{action: DENY, rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/stranger]}}]}]}":                  "gateway other/gateway",
		"{action: DENY, rules: [{from: [{source: {namespaces: [default]}}], to: [{operation: {paths: ['/test.Echo/*']}}]}]}": "other/gateway",
		"{action: DENY, rules: [{from: [{source: {notPrincipals: ['*/sa/gateway']}}]}]}":                                     "gateway other/gateway",
		"{action: DENY, rules: [{}]}":                                     "",
		"{action: DENY, rules: [{to: [{operation: {ports: ['9001']}}]}]}": "gateway other/gateway stranger",
	} {
		m.apply("\n---\nkind: AuthorizationPolicy\nmetadata: {name: billing}\nspec: " + policy + "\n")

		eventually(t, policy+" allows: "+want, func() bool {
			var allowed []string

			for _, account := range sortedKeys(callers) {
				switch _, err := m.direct(b, callers[account]); status.Code(err) {
				case codes.OK:
					allowed = append(allowed, account)
				case codes.PermissionDenied, codes.Unavailable: // the latter while the rules change
				default:
					t.Errorf("%s: %v", account, err)
				}
			}

			return strings.Join(allowed, " ") == want
		})
	}
}

// mTLS is demanded unless an object says that it is not.
func TestPeerAuthentication(t *testing.T) {
	m := startMesh(t)
	b := m.one()
	secured := credentials.NewTLS(m.credentials(t.Context(), "gateway").ClientTLS(identify("billing")))

	for i, step := range []struct{ mode, plain, tls string }{
		{"", "refused", "gateway"}, {"DISABLE", "nobody", "refused"}, {"STRICT", "refused", "gateway"}, {"UNSET", "refused", "gateway"},
	} {
		if i > 0 {
			m.apply("\n---\nkind: PeerAuthentication\nmetadata: {name: tls}\nspec: {mtls: {mode: " + step.mode + "}}\n")
		}

		answer := func(security credentials.TransportCredentials) string {
			caller, err := m.direct(b, security)
			if status.Code(err) == codes.Unavailable {
				return "refused"
			}

			m.must(err)

			return caller
		}

		eventually(t, "mode "+step.mode, func() bool {
			return answer(insecure.NewCredentials()) == step.plain && answer(secured) == step.tls
		})
	}
}
