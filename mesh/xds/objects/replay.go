package objects

import (
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
)

// replay makes the state that a journal describes.
func (s *Store) replay(c contents) error {
	s.state.start(c.header.Version)

	p := player{state: &s.state, kinds: s.kinds, labels: map[string]map[key]labels.Set{}}
	for name := range s.kinds {
		p.labels[name] = map[key]labels.Set{}
	}

	for _, r := range c.records {
		if err := p.play(r); err != nil {
			return fmt.Errorf("%s %s/%s, version %d: %w", r.Kind, r.Namespace, r.Name, r.Version, err)
		}
	}

	s.state.content = s.state.version

	return s.state.load()
}

// player plays records into a state.
type player struct {
	state *state
	kinds kinds
	// labels are those of the objects so far.
	labels map[string]map[key]labels.Set
}

// play takes one record. Its object stays unread until it is known to be the last of its name.
func (p *player) play(r record) error {
	k := p.kinds[r.Kind]
	if k == nil {
		return errors.New("the kind is not known")
	}

	now, err := labelsOf(r.Object)
	if err != nil {
		return err
	}

	at := key{r.Namespace, r.Name}
	if err := p.remember(r, k, at, now); err != nil {
		return err
	}

	if r.Deleted {
		delete(p.state.objects[k.name], at)
		delete(p.labels[k.name], at)

		return nil
	}

	p.state.objects[k.name][at] = &object{kind: k, key: at, version: r.Version, body: r.Object}
	p.labels[k.name][at] = now

	return nil
}

// remember keeps the record as an event, if it is one.
func (p *player) remember(r record, k *kind, at key, now labels.Set) error {
	s := p.state
	if r.Version <= s.history.base && len(s.history.events) == 0 {
		return nil
	}

	if r.Version != s.version+1 {
		return fmt.Errorf("it follows version %d: a write is missing", s.version)
	}

	before, existed := p.labels[k.name][at]
	s.version = r.Version
	s.history.add(event{
		version: r.Version, kind: k, key: at, deleted: r.Deleted,
		labels: now, previous: before, existed: existed, body: r.Object,
	})

	return nil
}

// load reads the objects that are left.
func (s *state) load() error {
	for _, objects := range s.objects {
		for at, unread := range objects {
			object, err := load(unread.kind, unread.body, unread.version)
			if err != nil {
				return fmt.Errorf("%s %s/%s: %w", unread.kind.name, at.namespace, at.name, err)
			}

			objects[at] = object
		}
	}

	return nil
}

// labelsOf reads nothing but the labels of an object.
func labelsOf(body []byte) (labels.Set, error) {
	var object struct {
		Metadata struct {
			Labels labels.Set `json:"labels"`
		} `json:"metadata"`
	}

	if err := json.Unmarshal(body, &object); err != nil {
		return nil, fmt.Errorf("its object cannot be read: %w", err)
	}

	return object.Metadata.Labels, nil
}
