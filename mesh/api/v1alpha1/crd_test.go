package v1alpha1

import (
	"fmt"
	"math"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// What an API server allows a rule, and all rules of a CRD, to cost by its own estimate
// (k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation).
const (
	ruleLimit = 10_000_000
	crdLimit  = 100_000_000
)

// TestRulesAreAffordable compiles every rule as API servers do, from the oldest release that knows all that the rules
// use, and compares what they may cost with what is allowed.
func TestRulesAreAffordable(t *testing.T) {
	for _, plural := range []string{"agents", "mcpservers"} {
		for _, minor := range []uint{29, 36} {
			kind := loadCRD(t, plural)
			b := &bill{t: t, env: environment.MustBaseEnvSet(version.MajorMinor(1, minor))}
			b.walk(kind.structural, "", 1, true)
			t.Logf("%s on 1.%d: %d rules, %d of %d, the dearest %s with %d of %d",
				plural, minor, b.rules, b.total, crdLimit, b.dearest, b.most, ruleLimit)

			if b.total > crdLimit || b.rules < 15 {
				t.Errorf("%s: %d rules cost %d", plural, b.rules, b.total)
			}
		}
	}
}

type bill struct {
	t           *testing.T
	env         *environment.EnvSet
	rules       int
	total, most uint64
	dearest     string
}

// walk adds the rules of a schema that occurs so many times at most.
func (b *bill) walk(s *schema.Structural, path string, times uint64, root bool) {
	b.t.Helper()

	if len(s.XValidations) > 0 {
		b.compile(s, path, times, root)
	}

	for name, property := range s.Properties {
		b.walk(&property, path+"."+name, times, false)
	}

	most := uint64(math.MaxUint32) // without a limit
	if s.ValueValidation != nil && s.ValueValidation.MaxItems != nil {
		most = uint64(*s.ValueValidation.MaxItems)
	} else if s.ValueValidation != nil && s.ValueValidation.MaxProperties != nil {
		most = uint64(*s.ValueValidation.MaxProperties)
	}

	if s.Items != nil {
		b.walk(s.Items, path+"[]", times*most, false)
	}

	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		b.walk(s.AdditionalProperties.Structural, path+"[]", times*most, false)
	}
}

func (b *bill) compile(s *schema.Structural, path string, times uint64, root bool) {
	b.t.Helper()

	results, err := cel.Compile(s, model.SchemaDeclType(s, root), celconfig.PerCallLimit, b.env, cel.NewExpressionsEnvLoader())
	if err != nil {
		b.t.Fatalf("%s: %v", path, err)
	}

	for i, result := range results {
		name := fmt.Sprintf("%s: %s", path, s.XValidations[i].Rule)

		if result.Error != nil || result.MessageExpressionError != nil {
			b.t.Errorf("%s: %v, %v", name, result.Error, result.MessageExpressionError)

			continue
		}

		cost := result.MaxCost * times
		if cost > ruleLimit || result.MessageExpressionMaxCost > ruleLimit {
			b.t.Errorf("%s costs %d, its message %d", name, cost, result.MessageExpressionMaxCost)
		}

		b.rules++
		b.total += cost + result.MessageExpressionMaxCost

		if cost > b.most {
			b.most, b.dearest = cost, name
		}
	}
}

// TestEveryFieldIsExplained for `kubectl explain`.
func TestEveryFieldIsExplained(t *testing.T) {
	for _, plural := range []string{"agents", "mcpservers"} {
		fields := 0
		explained(t, loadCRD(t, plural).root(), plural, &fields)

		if fields < 10 {
			t.Errorf("%s: only %d fields", plural, fields)
		}
	}
}

func explained(t *testing.T, s *apiextensionsv1.JSONSchemaProps, path string, fields *int) {
	t.Helper()

	for name, property := range s.Properties {
		*fields++

		if strings.TrimSpace(property.Description) == "" && path+"."+name != strings.Split(path, ".")[0]+".metadata" && !strings.HasSuffix(path, ".metadata") {
			t.Errorf("%s.%s has no description", path, name)
		}

		explained(t, &property, path+"."+name, fields)
	}

	if s.Items != nil {
		explained(t, s.Items.Schema, path, fields)
	}

	if s.AdditionalProperties != nil {
		explained(t, s.AdditionalProperties.Schema, path, fields)
	}
}

// TestBigAgents: what is within the limits is not refused for what looking at it costs.
func TestBigAgents(t *testing.T) {
	agent := documents(t, "../../../internal/agentspec/testdata/full.yaml")[0]
	texts := func(n, length int) []any {
		list := many(n)
		for i, text := range list {
			list[i] = text.(string) + strings.Repeat("x", length-len(text.(string)))
		}

		return list
	}
	objects := func(n int, build func(name string) map[string]any) []any {
		list := many(n)
		for i, name := range list {
			list[i] = build(name.(string))
		}

		return list
	}

	set(agent, "spec.prompt.inline", strings.Repeat("p", 1<<20))
	set(agent, "spec.tools", objects(128, func(name string) map[string]any {
		return map[string]any{"name": "shop_" + name + strings.Repeat("x", 200)}
	}))
	set(agent, "spec.handoffs", objects(64, func(name string) map[string]any {
		return map[string]any{"agent": name, "when": strings.Repeat("w", 1024)}
	}))
	set(agent, "spec.rollout.excludeTenants", texts(64, 128))

	rules := objects(64, func(name string) map[string]any {
		return map[string]any{"name": name, "words": texts(64, 48)}
	})
	set(agent, "spec.guardrails.input", rules)
	set(agent, "spec.guardrails.output", rules)

	if problems := loadCRD(t, "agents").create(t.Context(), agent); len(problems) > 0 {
		t.Errorf("%.2000s", problems.ToAggregate().Error())
	}
}
