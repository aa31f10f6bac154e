package rpc

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
)

// Caller decides whether an identity may call. Trust domain and namespace have been checked before.
type Caller func(Identity) bool

// Policy says who may call which method, by full name such as /serin.context.v1.ContextService/Append. What is absent
// is denied.
type Policy map[string]Caller

// Names allows the identities with these names.
func Names(names ...string) Caller {
	return func(id Identity) bool { return slices.Contains(names, id.Name) }
}

// AnyAgent allows every agent, and none of the platform's own processes.
func AnyAgent(id Identity) bool { return id.IsAgent() }

// AnyWorkload allows every workload.
func AnyWorkload(Identity) bool { return true }

// AnyOf allows whom one of the callers allows.
func AnyOf(callers ...Caller) Caller {
	return func(id Identity) bool {
		return slices.ContainsFunc(callers, func(caller Caller) bool { return caller(id) })
	}
}

// Merge returns all entries together. A method in two policies is an error: neither of them would be the whole truth.
func Merge(policies ...Policy) (Policy, error) {
	merged := Policy{}

	for _, policy := range policies {
		for _, method := range slices.Sorted(maps.Keys(policy)) {
			if _, twice := merged[method]; twice {
				return nil, fmt.Errorf("method %s is in two policies", method)
			}

			merged[method] = policy[method]
		}
	}

	return merged, nil
}

// allows reports whether the policy lets id call the method.
func (p Policy) allows(method string, id Identity) bool {
	caller := p[method]

	return caller != nil && caller(id)
}

// basicPolicy covers what every server has: health and reflection, open to the namespace's workloads.
func basicPolicy() Policy {
	return Policy{
		grpc_health_v1.Health_Check_FullMethodName:                                   AnyWorkload,
		grpc_health_v1.Health_List_FullMethodName:                                    AnyWorkload,
		grpc_health_v1.Health_Watch_FullMethodName:                                   AnyWorkload,
		grpc_reflection_v1.ServerReflection_ServerReflectionInfo_FullMethodName:      AnyWorkload,
		grpc_reflection_v1alpha.ServerReflection_ServerReflectionInfo_FullMethodName: AnyWorkload,
	}
}
