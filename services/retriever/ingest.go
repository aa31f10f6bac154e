package retriever

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
)

// release is part of documents' digests: another way of taking them apart takes all of them apart anew.
const release = "2"

// library is what is known of the documents. One goroutine changes it.
type library struct {
	service *Service
	// indexed is what the index has; text and passages are how much that is.
	indexed  map[string]document
	text     int64
	passages int
	// stamps are those of files as they were read, or refused, last; moving are files that may be being written.
	stamps map[string]stamp
	moving map[string]moving
	// problems say why the newest version of a document is not indexed.
	problems map[string]error
	// room is what a document would need that there was no room for.
	room map[string]need
	// asked is when pages were last asked for.
	asked time.Time
}

// moving is a file that changed lately.
type moving struct {
	stamp stamp
	since time.Time
}

// need is what a document takes.
type need struct {
	passages int
	text     int64
}

func (s *Service) newLibrary(ctx context.Context) (*library, error) {
	indexed, err := s.index.documents(ctx)
	if err != nil {
		return nil, err
	}

	made := &library{
		service: s, indexed: indexed, stamps: map[string]stamp{}, moving: map[string]moving{},
		problems: map[string]error{}, room: map[string]need{},
	}

	for _, one := range indexed {
		made.passages += one.passages
		made.text += one.text
	}

	return made, nil
}

// mostFirstLooks is how often documents are looked at before there are answers, while files are being written.
const mostFirstLooks = 4

// keepIndexed looks at the documents until ctx ends. What goes wrong with one of them is told, and the others go on.
func (s *Service) keepIndexed(ctx context.Context) error {
	library, err := s.newLibrary(ctx)
	if err != nil {
		return err
	}

	for looks := 1; ; looks++ {
		soon := library.look(ctx)

		// Whoever asks first shall find what is there. A file that never rests is not waited for, though.
		whole := !soon || looks >= mostFirstLooks || s.shelf.Load() != nil
		if whole && ctx.Err() == nil { // else it may not have seen everything
			s.publish(library)
		}

		wait := s.config.Look
		if soon {
			wait = min(wait, s.config.Settle)
		}

		if !sleep(ctx, wait, s.again, true) {
			return nil
		}
	}
}

// look brings the index up to date; soon says that a file was passed over that may be complete in a moment.
func (l *library) look(ctx context.Context) (soon bool) {
	there := map[string]bool{}
	removed := false

	for _, folder := range l.service.config.Folders {
		files, err := folder.files()
		if l.tell(ctx, folder.Name, err); err != nil { // it may come back: what is indexed stays
			l.hold(there, folder.Name+"/")
			there[folder.Name] = true // its problem stays, too

			continue
		}

		for _, one := range files {
			there[one.name] = true
			soon = l.file(ctx, folder, one) || soon
		}
	}

	l.pages(ctx, there)

	for _, name := range slices.Sorted(maps.Keys(l.known())) {
		if !there[name] && ctx.Err() == nil {
			l.vanish(ctx, name)

			removed = true
		}
	}

	if removed {
		l.sweep(ctx)
	}

	return soon
}

// known are the names of all that is indexed, or was seen and is not.
func (l *library) known() map[string]bool {
	names := map[string]bool{}
	for name := range l.indexed {
		names[name] = true
	}

	for name := range l.problems {
		names[name] = true
	}

	for name := range l.stamps {
		names[name] = true
	}

	return names
}

// hold keeps what a folder had that can't be read now.
func (l *library) hold(there map[string]bool, prefix string) {
	for name := range l.known() {
		if strings.HasPrefix(name, prefix) {
			there[name] = true
		}
	}
}

// pages asks for pages when it is time to.
func (l *library) pages(ctx context.Context, there map[string]bool) {
	due := l.asked.IsZero() || time.Since(l.asked) >= l.service.config.Refresh
	if due {
		l.asked = time.Now()
	}

	var answers []answer
	if due {
		answers = l.ask(ctx)
	}

	for i, page := range l.service.config.Pages {
		there[page.URL] = true

		if due && ctx.Err() == nil {
			there[page.URL] = l.page(ctx, page.URL, answers[i].page, answers[i].err)
		}
	}
}

// answer is what asking for a page came to.
type answer struct {
	page fetched
	err  error
}

// pagesAtOnce is how many pages are asked for at a time: one that is slow holds nobody up.
const pagesAtOnce = 8

// ask asks for all pages.
func (l *library) ask(ctx context.Context) []answer {
	answers := make([]answer, len(l.service.config.Pages))

	var group errgroup.Group
	group.SetLimit(pagesAtOnce)

	for i, page := range l.service.config.Pages {
		group.Go(func() error {
			answers[i].page, answers[i].err = l.service.fetch(ctx, page, l.validator(page.URL))

			return nil
		})
	}

	_ = group.Wait() // each page has its own error

	return answers
}

// ways is what a validator of the index begins with: what else decides how a page is taken apart.
func (l *library) ways() string {
	return fmt.Sprintf("%s %d ", release, l.service.config.Limits.PassageBytes)
}

// validator is what the server said of the page that is indexed; empty if that would be taken apart otherwise today.
func (l *library) validator(name string) string {
	told, fits := strings.CutPrefix(l.indexed[name].validator, l.ways())
	if !fits {
		return ""
	}

	return told
}

// page takes what asking for a page came to; false if there is none any more.
func (l *library) page(ctx context.Context, name string, got fetched, err error) bool {
	switch {
	case ctx.Err() != nil:
		return true
	case err != nil:
		l.tell(ctx, name, err)

		return true
	case got.gone:
		l.tell(ctx, name, errors.New("there is none: 404"))

		return false
	case got.unchanged:
		l.tell(ctx, name, nil)

		return true
	}

	l.tell(ctx, name, l.take(ctx, document{name: name, validator: l.ways() + got.validator}, got.format, got.data))

	return true
}

// file reads a file that has changed; true if it may be being written.
func (l *library) file(ctx context.Context, folder Folder, one file) bool {
	if l.stamps[one.name] == one.stamp && !l.fits(one.name) {
		return false
	}

	if !l.settled(one) {
		return true
	}

	err := l.read(ctx, folder, one)

	switch {
	case errors.Is(err, errMoving):
		return true
	case ctx.Err() != nil:
		return false
	}

	// What can't be read or written now may be at the next look.
	if delete(l.stamps, one.name); err == nil || isRefusal(err) {
		l.stamps[one.name] = one.stamp
	}

	l.tell(ctx, one.name, err)

	return false
}

// fits reports whether there is room now for a document that there was none for.
func (l *library) fits(name string) bool {
	needed, waits := l.room[name]

	return waits && l.roomFor(name, needed) == nil
}

// settled reports whether a file has not changed for a while, by its own word or by what was seen of it: clocks may differ.
func (l *library) settled(one file) bool {
	settle := l.service.config.Settle

	if age := time.Since(one.stamp.changed); age >= settle {
		delete(l.moving, one.name)

		return true
	}

	seen, known := l.moving[one.name]
	if known && seen.stamp == one.stamp && time.Since(seen.since) >= settle {
		delete(l.moving, one.name)

		return true
	}

	if !known || seen.stamp != one.stamp {
		l.moving[one.name] = moving{stamp: one.stamp, since: time.Now()}
	}

	return false
}

// refusal is about what a document is: looking at the same bytes again changes nothing.
type refusal struct{ message string }

func (r *refusal) Error() string { return r.message }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

func isRefusal(err error) bool {
	_, refused := errors.AsType[*refusal](err)

	return refused
}

func (l *library) read(ctx context.Context, folder Folder, one file) error {
	kind := formatOfName(one.name)
	if kind == formatNone {
		return refuse("its name ends in %s: want .md, .html or .txt", path.Ext(one.name))
	}

	if most := l.service.config.Limits.DocumentBytes; one.stamp.size > most {
		return refuse("it has %d bytes: at most %d (limits.documentBytes)", one.stamp.size, most)
	}

	data, err := folder.read(one, l.service.config.Limits.DocumentBytes)
	if err != nil {
		return err
	}

	return l.take(ctx, document{name: one.name}, kind, data)
}

// take indexes a document unless it is what is indexed already.
func (l *library) take(ctx context.Context, one document, kind format, data []byte) error {
	limits := l.service.config.Limits
	delete(l.room, one.name)

	switch {
	case int64(len(data)) > limits.DocumentBytes:
		return refuse("it has more than %d bytes (limits.documentBytes)", limits.DocumentBytes)
	case !utf8.Valid(data):
		return refuse("it is not valid UTF-8")
	case bytes.IndexByte(data, 0) >= 0:
		return refuse("it has zero bytes: want text")
	}

	sum := sha256.Sum256(append(fmt.Appendf(nil, "%s %d %d ", release, kind, limits.PassageBytes), data...))
	one.digest, one.bytes = hex.EncodeToString(sum[:]), int64(len(data))

	if before, known := l.indexed[one.name]; known && before.digest == one.digest {
		if before.validator == one.validator {
			return nil
		}

		before.validator = one.validator
		l.indexed[one.name] = before

		return l.service.index.validate(ctx, one.name, one.validator)
	}

	doc, passages, err := dissect(kind, data, limits.PassageBytes)
	if err != nil {
		return err
	}

	one.title, one.passages, one.indexedAt = doc.title, len(passages), time.Now()
	if one.title == "" {
		one.title = path.Base(one.name)
	}

	for _, passage := range passages {
		one.text += int64(len(passage.text))
	}

	needed := need{passages: one.passages, text: one.text}
	if err := l.roomFor(one.name, needed); err != nil {
		l.room[one.name] = needed

		return err
	}

	return l.put(ctx, one, passages)
}

// dissect takes a document apart. A bug in that must not take the process with it.
func dissect(kind format, data []byte, most int) (doc parsed, passages []passage, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = refuse("it can't be taken apart: %v", cause)
		}
	}()

	doc = parse(kind, data, most)

	return doc, pack(doc, data, most), nil
}

// roomFor says which limit a document would exceed.
func (l *library) roomFor(name string, needed need) error {
	limits := l.service.config.Limits
	before, known := l.indexed[name]

	switch {
	case !known && len(l.indexed) >= limits.Documents:
		return refuse("there are %d documents already (limits.documents)", limits.Documents)
	case l.passages-before.passages+needed.passages > limits.Passages:
		return refuse("it has %d passages, and there is room for %d more: %d in all (limits.passages)",
			needed.passages, limits.Passages-l.passages+before.passages, limits.Passages)
	case l.text-before.text+needed.text > limits.Bytes:
		return refuse("it has %d bytes of text, and there is room for %d more: %d in all (limits.bytes)",
			needed.text, limits.Bytes-l.text+before.text, limits.Bytes)
	default:
		return nil
	}
}

func (l *library) put(ctx context.Context, one document, passages []passage) error {
	s := l.service

	s.changing.Lock()
	defer s.changing.Unlock()

	came, went, err := s.index.put(ctx, one, passages)
	if err != nil {
		return err
	}

	before := l.indexed[one.name]
	l.indexed[one.name] = one
	l.passages += one.passages - before.passages
	l.text += one.text - before.text

	s.vectors.drop(went)
	s.wake()

	return s.attach(ctx, came)
}

// vanish forgets a document.
func (l *library) vanish(ctx context.Context, name string) {
	s := l.service

	s.changing.Lock()
	defer s.changing.Unlock()

	if before, known := l.indexed[name]; known {
		went, err := s.index.delete(ctx, name)
		if err != nil {
			l.tell(ctx, name, err)

			return
		}

		s.vectors.drop(went)
		delete(l.indexed, name)

		l.passages -= before.passages
		l.text -= before.text
	}

	delete(l.stamps, name)
	delete(l.moving, name)
	delete(l.room, name)

	if !s.config.hasPage(name) {
		delete(l.problems, name)
	}
}

func (l *library) sweep(ctx context.Context) {
	s := l.service

	s.changing.Lock()
	defer s.changing.Unlock()

	if err := s.index.sweep(ctx, s.config.Embeddings.Model); err != nil {
		s.config.Telemetry.Logger.WarnContext(ctx, "vectors that nothing needs stay behind", "error", err)
	}
}

// tell notes what is wrong with a document or a folder, and logs it when that changes.
func (l *library) tell(ctx context.Context, name string, problem error) {
	before := l.problems[name]

	if problem == nil {
		delete(l.problems, name)

		return
	}

	l.problems[name] = problem

	if before == nil || before.Error() != problem.Error() {
		l.service.config.Telemetry.Logger.WarnContext(ctx, "not indexed", "document", name, "problem", problem)
	}
}
