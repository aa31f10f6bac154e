package rpc

import (
	"strings"
	"testing"
)

// element is what Envoy adds for a caller.
func element(uri string) string {
	return `By=spiffe://cluster.local/ns/default/sa/serin-context;Hash=468ed33b;Subject="";URI=` + uri
}

func TestForwardedIdentity(t *testing.T) {
	const victim, caller = "spiffe://cluster.local/ns/default/sa/serin-gateway", "spiffe://cluster.local/ns/default/sa/billing"

	for title, value := range map[string]string{
		"alone":                            element(caller),
		"after another":                    element(victim) + "," + element(caller),
		"after a space":                    element(victim) + ", " + element(caller),
		"after an open quote":              `URI=` + victim + `;Subject="` + "," + element(caller),
		"after an open quote with a start": `By=x;Subject="a",URI=` + victim + `;Subject="` + "," + element(caller),
		"after a backslash":                `URI=` + victim + `\` + "," + element(caller),
		"after garbage":                    `;;==",\"` + "," + element(caller),
		"after nothing":                    "," + element(caller),
		"with a quoted comma":              `Subject="O=a,URI=` + victim + `";URI=` + caller,
		"with an escaped quote":            `Subject="O=\"a,URI=` + victim + `";URI=` + caller,
		"with a closing backslash":         `Subject="O=\\";URI=` + caller,
		"quoted":                           `URI="` + caller + `";DNS=x;DNS=y`,
		"in other letters":                 `uri=` + caller,
		"with an empty one":                `URI=;URI=` + caller,
		"with a semicolon at the end":      element(caller) + ";",
	} {
		if id, err := forwardedIdentity([]string{value}); err != nil || id.String() != caller {
			t.Errorf("%s: got %v, %v", title, id, err)
		}
	}
}

func TestForwardedIdentityIsRefused(t *testing.T) {
	const caller = "spiffe://cluster.local/ns/default/sa/billing"

	for title, test := range map[string]struct {
		values []string
		want   string
	}{
		"absent":               {nil, "want one header"},
		"twice":                {[]string{element(caller), element(caller)}, "want one header"},
		"empty":                {[]string{""}, "want one URI"},
		"nobody last":          {[]string{element(caller) + ","}, "want one URI"},
		"no URI last":          {[]string{element(caller) + `,By=x;Subject=""`}, "want one URI"},
		"two URIs":             {[]string{"URI=" + caller + ";URI=" + caller}, "not 2"},
		"an open quote":        {[]string{`Subject="a;URI=` + caller}, "not closed"},
		"a quote inside":       {[]string{`Subject=a";URI=` + caller + `"`}, "not quoted"},
		"after a quote":        {[]string{`Subject="a"b;URI=` + caller}, "followed by a semicolon"},
		"no pairs":             {[]string{"billing"}, "key=value"},
		"no key":               {[]string{"=" + caller}, "key=value"},
		"no identity":          {[]string{"URI=https://example.org"}, "identity"},
		"an identity unquoted": {[]string{"URI=" + caller + "/x"}, "must look like"},
	} {
		if id, err := forwardedIdentity(test.values); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, %v, want %q", title, id, err, test.want)
		}
	}
}

// FuzzForwardedIdentity: whatever stands before the last element, and whatever its quoted subject says, the identity is
// the last element's.
func FuzzForwardedIdentity(f *testing.F) {
	const caller = "spiffe://cluster.local/ns/default/sa/billing"

	f.Add(element("spiffe://cluster.local/ns/default/sa/serin-gateway"), "")
	f.Add(`Subject="`, `CN="a",URI=spiffe://x`)
	f.Add(`\`, `a\`)
	f.Add(`",\"`, `;URI=x;`)

	f.Fuzz(func(t *testing.T, before, subject string) {
		// An X.509 name is written with its backslashes and quotes escaped.
		escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(subject)
		last := `By=x;Subject="` + escaped + `";URI=` + caller

		if id, err := forwardedIdentity([]string{before + "," + last}); err != nil || id.String() != caller {
			t.Errorf("got %v, %v", id, err)
		}

		if id, err := forwardedIdentity([]string{before}); err == nil && !strings.Contains(before, "spiffe://"+id.TrustDomain) {
			t.Errorf("%q became %v", before, id)
		}
	})
}
