package xds

import (
	"maps"
	"slices"
	"strconv"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// held is what a stream knows of one resource that it asked for, by version; empty means none.
type held struct {
	sent, acked string
	// refused is why the client did not take what was sent.
	refused string
}

// channel is one type of resources on one stream. At most one response is under way: a client that is slow gets the
// latest next, not everything in between.
type channel struct {
	kind  Type
	names map[string]*held

	sequence uint64
	nonce    string
	underway bool
	sentAt   time.Time
	ackedAt  time.Time
	nacks    int
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

// answer takes the client's word about the response of a nonce. It returns false if that is not the latest.
func (c *channel) answer(nonce, refusal string, now time.Time) bool {
	if !c.underway || nonce != c.nonce {
		return false
	}

	c.underway, c.ackedAt = false, now

	if refusal != "" {
		c.nacks++
	}

	for _, held := range c.names {
		switch {
		case refusal == "":
			held.acked, held.refused = held.sent, ""
		case held.acked != held.sent:
			held.refused = refusal
		}
	}

	return true
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
	return version != held.sent && (version != "" || c.kind.complete())
}

// respond makes the next response: everything that the client asked for, or what changed if that is enough.
func (c *channel) respond(world *world, now time.Time) *discoveryv3.DiscoveryResponse {
	var bodies []*anypb.Any

	for _, name := range slices.Sorted(maps.Keys(c.names)) {
		held, resource := c.names[name], world.resources.Get(c.kind, name)
		version := world.resources.version(c.kind, name)

		if c.news(held, version) {
			held.sent, held.refused = version, ""
		} else if !c.kind.complete() {
			continue
		}

		if resource != nil {
			bodies = append(bodies, resource.Body)
		}
	}

	c.sequence++
	c.nonce, c.underway, c.sentAt = strconv.FormatUint(c.sequence, 10), true, now

	return &discoveryv3.DiscoveryResponse{
		VersionInfo: strconv.FormatUint(world.version, 10), TypeUrl: c.kind.URL(), Nonce: c.nonce, Resources: bodies,
	}
}
