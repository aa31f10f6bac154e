package xds

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// held is what a stream knows of one resource that it asked for, by version; empty means none.
type held struct {
	sent, acked string
	// refused is why the client did not take what was sent. It holds until another version is sent.
	refused string
	// alone says that what was sent was refused together with others, and is to be sent again by itself: the answer to
	// that says whether it was the culprit.
	alone bool
}

// flown is what a response says of one resource.
type flown struct {
	held    *held
	version string
}

// channel is one type of resources on one stream. At most one response is under way: a client that is slow gets the
// latest next, not everything in between.
type channel struct {
	kind  Type
	names map[string]*held

	sequence uint64
	nonce    string
	underway bool
	// flight is what the response under way is about: its answer is about nothing else.
	flight  map[string]flown
	sentAt  time.Time
	ackedAt time.Time
	// missedAt is when the answer was first found to be late.
	missedAt time.Time
}

// subscribe sets the names that the client wants.
func (c *channel) subscribe(names []string) {
	wanted := make(map[string]*held, len(names))

	for _, name := range names {
		if known := c.names[name]; known != nil {
			wanted[name] = known
		} else {
			wanted[name] = &held{}
		}
	}

	c.names = wanted
}

// answer takes the client's word about the response of a nonce, if that is the latest.
func (c *channel) answer(nonce, refusal string, now time.Time) {
	if !c.underway || nonce != c.nonce {
		return
	}

	c.underway, c.ackedAt = false, now

	// Who left a resource and took it up again waits for it anew: the answer is not about that.
	maps.DeleteFunc(c.flight, func(name string, flown flown) bool { return c.names[name] != flown.held })

	switch {
	case refusal == "":
		for _, flown := range c.flight {
			flown.held.acked, flown.held.refused = flown.version, ""
		}
	case c.kind.complete():
		c.settleRefused(refusal)
	case len(c.flight) == 1:
		for _, flown := range c.flight {
			flown.held.refused = refusal
		}
	default:
		for _, flown := range c.flight {
			flown.held.alone = true
		}
	}
}

// settleRefused blames the resources that the refusal of a complete response names, as grpc-go does: it takes the rest.
// If it names none, everything that is new in the response is blamed, since any of it may be the culprit.
func (c *channel) settleRefused(refusal string) {
	named := func(name string) bool { return strings.Contains(refusal, strconv.Quote(name)) }
	anyone := !slices.ContainsFunc(slices.Collect(maps.Keys(c.flight)), named)

	for name, flown := range c.flight {
		switch {
		case named(name), anyone && flown.held.acked != flown.version:
			flown.held.refused = refusal
		default:
			flown.held.acked, flown.held.refused = flown.version, ""
		}
	}
}

// wants reports whether the client should be told something.
func (c *channel) wants(resources Resources) bool {
	for name, held := range c.names {
		if c.news(held, resources.version(c.kind, name)) {
			return true
		}
	}

	return false
}

// news: that a resource is gone can be said in complete responses only.
func (c *channel) news(held *held, version string) bool {
	return (version != held.sent || held.alone) && (version != "" || c.kind.complete())
}

// due are the names that the next response is about: all that the client asked for, or what changed if that is enough.
func (c *channel) due(resources Resources) []string {
	names := slices.Sorted(maps.Keys(c.names))
	if c.kind.complete() {
		return names
	}

	names = slices.DeleteFunc(names, func(name string) bool {
		return !c.news(c.names[name], resources.version(c.kind, name))
	})

	for _, name := range names {
		if c.names[name].alone {
			return []string{name}
		}
	}

	return names
}

// respond makes the next response.
func (c *channel) respond(world *world, now time.Time) *discoveryv3.DiscoveryResponse {
	var bodies []*anypb.Any

	c.flight = map[string]flown{}

	for _, name := range c.due(world.resources) {
		held, version := c.names[name], world.resources.version(c.kind, name)
		if version != held.sent || held.alone {
			held.sent, held.refused, held.alone = version, "", false
		}

		c.flight[name] = flown{held, version}

		if resource := world.resources.Get(c.kind, name); resource != nil {
			bodies = append(bodies, resource.Body)
		}
	}

	c.sequence++
	c.nonce, c.underway, c.sentAt, c.missedAt = strconv.FormatUint(c.sequence, 10), true, now, time.Time{}

	return &discoveryv3.DiscoveryResponse{
		VersionInfo: strconv.FormatUint(world.version, 10), TypeUrl: c.kind.URL(), Nonce: c.nonce, Resources: bodies,
	}
}

// late reports whether the answer has been due for a while. A process that was stopped and goes on finds every answer
// late that it did not read yet: hence the second look, grace later.
func (c *channel) late(now time.Time, timeout, grace time.Duration) bool {
	if !c.underway || now.Sub(c.sentAt) < timeout {
		return false
	}

	if c.missedAt.IsZero() {
		c.missedAt = now
	}

	return now.Sub(c.missedAt) >= grace
}
