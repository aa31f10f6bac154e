package xds

import (
	"fmt"
	"slices"
	"strings"
	"time"

	meta "istio.io/api/meta/v1alpha1"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serinhq/serin/mesh/xds/objects"
)

// Conditions of an object's status.
const (
	// Reconciled is True once every stream that needs the object's generation has taken it, and False while a stream
	// refuses it or while it is not in force as it is written.
	Reconciled = "Reconciled"
	// PassedValidation is False while the object is not in force as it is written.
	PassedValidation = "PassedValidation"
)

// followUp is how long after it took routes a client may take to ask for the clusters that they lead to.
const followUp = 2 * time.Second

// verdict is how far an object is.
type verdict struct {
	waiting bool
	// refusals say which proxies did not take it, and why.
	refusals []string
}

// reconcile writes into every object that waits how far it is.
func (s *Server) reconcile() {
	if len(s.reconciler.pending) == 0 {
		return
	}

	world, streams, now := s.world.Load(), s.open(), time.Now()
	absent := s.returning.awaited(streams, now)

	for ref, entry := range s.reconciler.pending {
		reached := judge(entry, world.resources, streams, now)
		reached.waiting = reached.waiting || absent
		conditions, done := entry.conditions(reached, now)

		if line := fmt.Sprint(conditions); len(conditions) > 0 && line != entry.written {
			if err := s.config.Objects.SetStatus(ref.Kind, ref.Namespace, ref.Name, entry.generation, conditions...); err != nil {
				s.config.Logger.Error("writing an object's status failed; it is tried again", "object", ref.String(), "error", err)

				continue
			}

			entry.written = line
		}

		if done {
			delete(s.reconciler.pending, ref)
		}
	}
}

// conditions are what the status should say, nothing while it is open, and whether that is the last word.
func (a *awaited) conditions(reached verdict, now time.Time) ([]objects.Condition, bool) {
	if len(a.problems) > 0 {
		message := strings.Join(a.problems, "; ")

		return []objects.Condition{
			{Type: PassedValidation, Status: metav1.ConditionFalse, Reason: "Invalid", Message: message},
			{Type: Reconciled, Status: metav1.ConditionFalse, Reason: "Invalid", Message: message},
		}, false
	}

	passed := objects.Condition{Type: PassedValidation, Status: metav1.ConditionTrue, Reason: "Valid"}

	switch {
	case len(reached.refusals) > 0:
		return []objects.Condition{passed, {
			Type: Reconciled, Status: metav1.ConditionFalse, Reason: "Refused", Message: strings.Join(reached.refusals, "; "),
		}}, false
	case reached.waiting || now.Before(a.notBefore):
		return nil, false
	default:
		return []objects.Condition{passed, {Type: Reconciled, Status: metav1.ConditionTrue, Reason: "Acknowledged"}}, true
	}
}

// judge asks every stream for every resource of an object.
func judge(entry *awaited, resources Resources, streams []*stream, now time.Time) verdict {
	var reached verdict

	for _, stream := range streams {
		stream.mu.Lock()

		for key := range entry.resources {
			stream.judge(key, resources, now, &reached)
		}

		stream.mu.Unlock()
	}

	slices.Sort(reached.refusals)
	reached.refusals = slices.Compact(reached.refusals)

	return reached
}

// judge looks whether a stream has a resource as it is, if it asked for it. The caller holds mu.
func (s *stream) judge(key resourceKey, resources Resources, now time.Time, reached *verdict) {
	if !s.has(key, resources, reached) || key.kind != Routes {
		return
	}

	resource := resources.Get(Routes, key.name)
	if resource == nil {
		return
	}

	// A client that took routes asks for their clusters next, and uses the routes only then.
	for _, name := range resource.Needs {
		asked := resources.Get(Cluster, name) == nil ||
			s.has(resourceKey{Cluster, name}, resources, reached) && s.has(resourceKey{Endpoints, name}, resources, reached)

		if !asked && now.Before(s.channels[Routes].ackedAt.Add(followUp)) {
			reached.waiting = true
		}
	}
}

// has adds to a verdict what a stream says about a resource. It returns false if the stream did not ask for it.
func (s *stream) has(key resourceKey, resources Resources, reached *verdict) bool {
	channel := s.channels[key.kind]
	if channel == nil || channel.names[key.name] == nil {
		return false
	}

	held, version := channel.names[key.name], resources.version(key.kind, key.name)

	switch {
	case version == "" && !key.kind.complete(), version == held.acked:
	case held.refused != "" && held.sent == version:
		reached.refusals = append(reached.refusals, s.node+" refused "+key.kind.String()+": "+held.refused)
	default:
		reached.waiting = true
	}

	return true
}

// statusOf reads the status of an object.
func statusOf(object metav1.Object) (observed int64, conditions []*meta.IstioCondition) {
	switch object := object.(type) {
	case *networkingv1.VirtualService:
		return object.Status.GetObservedGeneration(), object.Status.GetConditions()
	case *networkingv1.DestinationRule:
		return object.Status.GetObservedGeneration(), object.Status.GetConditions()
	case *networkingv1.ServiceEntry:
		return object.Status.GetObservedGeneration(), object.Status.GetConditions()
	case *securityv1.AuthorizationPolicy:
		return object.Status.GetObservedGeneration(), object.Status.GetConditions()
	case *securityv1.PeerAuthentication:
		return object.Status.GetObservedGeneration(), object.Status.GetConditions()
	default:
		return 0, nil
	}
}

// reconciled reports whether the status says so of this generation already.
func reconciled(object metav1.Object) bool {
	observed, conditions := statusOf(object)
	if observed != object.GetGeneration() {
		return false
	}

	return slices.ContainsFunc(conditions, func(condition *meta.IstioCondition) bool {
		return condition.GetType() == Reconciled && condition.GetStatus() == string(metav1.ConditionTrue)
	})
}
