package istio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// maxWrites is how many writes one Apply makes at most: the longest way from nothing to a routing takes six.
const maxWrites = 24

// ErrStale says that the objects carry a newer decision than the one that should be written. The [Progress] beside it
// tells which.
var ErrStale = errors.New("the mesh carries a newer decision")

// ErrWaiting says that something stays until every proxy has heard that it shall go: [Router.Delete] goes on from there
// when it is called again.
var ErrWaiting = errors.New("waiting for")

// Router steers agents' traffic. It keeps nothing but the names and the last marks of the objects that it found; any number
// of Routers may work on the same objects.
type Router struct {
	config Config

	mu    sync.Mutex
	found map[string]names
	seen  map[string]sighting
}

// New makes a Router.
func New(config Config) (*Router, error) {
	if config.Client == nil {
		return nil, errors.New("istio: Config.Client is nil; it must reach an API server")
	}

	if config.Propagation == nil {
		return nil, errors.New("istio: Config.Propagation is nil; use Reconciled on one machine, NewDwell under istiod")
	}

	return &Router{config: config.withDefaults(), found: map[string]names{}, seen: map[string]sighting{}}, nil
}

// Apply makes every write that is safe now towards the routing, and says how far that is; calling it again goes on.
// It returns [ErrStale] if the objects carry a newer decision, or one that withdrew what the routing leads to.
func (r *Router) Apply(ctx context.Context, agent Agent, routing Routing) (Progress, error) {
	if err := routing.validate(); err != nil {
		return Progress{}, err
	}

	var (
		drift    string
		progress Progress
	)

	for range maxWrites {
		wrote := false

		err := retry(ctx, func() error {
			world, step, err := r.next(ctx, agent, routing)
			if err != nil {
				return err
			}

			drift = cmp.Or(drift, world.drift())
			progress = world.progress(step)

			if step.stale != "" {
				return fmt.Errorf("%w: %s, not %s", ErrStale, step.stale, key(&routing.Intent))
			}

			wrote = step.writes()

			return r.write(ctx, agent, step)
		})
		progress.Drift = drift

		if err != nil || !wrote {
			return progress, err
		}
	}

	return progress, fmt.Errorf("agent %s: its objects change as fast as they are written", agent.Name)
}

// Observe says how far the objects are from what they say themselves; it writes nothing.
func (r *Router) Observe(ctx context.Context, agent Agent) (Progress, error) {
	world, err := r.look(ctx, agent)
	if err == nil {
		err = r.lookFurther(ctx, &world, nil)
	}

	if err != nil {
		return Progress{}, err
	}

	return world.progress(step{done: world.settled(), waiting: world.unsettled()}), nil
}

// next reads and decides. What takes traffic back does not wait for more than the VirtualService that it is written to.
func (r *Router) next(ctx context.Context, agent Agent, routing Routing) (world, step, error) {
	world, err := r.look(ctx, agent)
	if err != nil {
		return world, step{}, err
	}

	if world.urgent(routing) {
		if s := plan(world, routing); s.writes() || s.stale != "" {
			return world, s, nil
		}
	}

	if err := r.lookFurther(ctx, &world, &routing); err != nil {
		return world, step{}, err
	}

	return world, plan(world, routing), nil
}

func (r *Router) write(ctx context.Context, agent Agent, s step) error {
	services := r.config.Client.NetworkingV1().VirtualServices(agent.Namespace)
	rules := r.config.Client.NetworkingV1().DestinationRules(agent.Namespace)

	var err error

	switch object := s.create.(type) {
	case *networking.VirtualService:
		_, err = services.Create(ctx, object, metav1.CreateOptions{FieldManager: manager})
	case *networking.DestinationRule:
		_, err = rules.Create(ctx, object, metav1.CreateOptions{FieldManager: manager})
	}

	switch options := (metav1.PatchOptions{FieldManager: manager}); {
	case s.service != nil:
		_, err = services.Patch(ctx, s.name, types.JSONPatchType, s.service.json(), options)
	case s.rule != nil:
		_, err = rules.Patch(ctx, s.name, types.JSONPatchType, s.rule.json(), options)
	}

	if err != nil {
		return fmt.Errorf("agent %s: write %s: %w", agent.Name, s.what(), err)
	}

	return nil
}
