package retriever

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	retrieverv1 "github.com/serinhq/serin/gen/serin/retriever/v1"
	"github.com/serinhq/serin/internal/fault"
)

const (
	defaultLimit = 5
	defaultBytes = 16 << 10
)

var (
	errNoModel   = errors.New("no embedding model is configured")
	errNoVectors = errors.New("no passage has a vector yet")
)

// Retrieve returns the passages that fit a query.
func (s *Service) Retrieve(ctx context.Context, request *retrieverv1.RetrieveRequest) (*retrieverv1.RetrieveResponse, error) {
	began := time.Now()

	response, err := s.retrieve(ctx, request)
	s.metrics.asked(ctx, response.GetMode(), err, time.Since(began))

	return response, err
}

func (s *Service) retrieve(ctx context.Context, request *retrieverv1.RetrieveRequest) (*retrieverv1.RetrieveResponse, error) {
	if s.shelf.Load() == nil {
		return nil, fault.New(codes.Unavailable, "NOT_INDEXED", "the documents are being read for the first time").After(time.Second)
	}

	mode := request.GetMode()
	if mode == retrieverv1.Mode_MODE_UNSPECIFIED {
		mode = retrieverv1.Mode_MODE_HYBRID
	}

	found := &retrieverv1.RetrieveResponse{Mode: mode}

	limit, room := cmp.Or(int(request.GetLimit()), defaultLimit), cmp.Or(int(request.GetMaxBytes()), defaultBytes)

	best, err := s.rank(ctx, request.GetQuery(), max(limit, candidates), found)
	if err != nil {
		return nil, err
	}

	for _, one := range best {
		if len(found.GetPassages()) == limit {
			break
		}

		row, there, err := s.index.passage(ctx, one.id)
		if err != nil {
			return nil, err
		}

		switch {
		case !there: // removed since it was ranked
			continue
		case len(row.text) > room && len(found.GetPassages()) > 0: // a shorter one may still have room
			continue
		}

		room -= len(row.text)
		found.Passages = append(found.Passages, passageOf(one, row))
	}

	return found, nil
}

func passageOf(one ranked, row row) *retrieverv1.Passage {
	return &retrieverv1.Passage{
		Text: row.text, Score: one.score, TextScore: one.words, VectorScore: one.vector,
		Source: &retrieverv1.Source{
			Document: row.document, Title: row.title, Headings: row.headings, Start: row.start, End: row.end,
		},
	}
}

// rank orders passages in the way that was asked for, or, as it then says, by words alone.
func (s *Service) rank(ctx context.Context, query string, most int, found *retrieverv1.RetrieveResponse) ([]ranked, error) {
	near, err := s.rankNear(ctx, query, most, found)
	if err != nil {
		return nil, err
	}

	if found.GetMode() == retrieverv1.Mode_MODE_VECTOR {
		return alone(nil, near), nil
	}

	words, err := s.index.byWords(ctx, query, most)
	if err != nil {
		return nil, err
	}

	if found.GetMode() == retrieverv1.Mode_MODE_TEXT {
		return alone(words, nil), nil
	}

	return fuse(words, near), nil
}

// rankNear ranks by vectors, if they are asked for. Where there are none, the answer says that words alone count, unless
// nothing but vectors was asked for.
func (s *Service) rankNear(ctx context.Context, query string, most int, found *retrieverv1.RetrieveResponse) ([]hit, error) {
	if found.GetMode() == retrieverv1.Mode_MODE_TEXT {
		return nil, nil
	}

	near, lacking := s.near(ctx, query, most)

	switch {
	case lacking == nil:
		if waiting := s.waiting(); waiting > 0 {
			found.Degraded = fmt.Sprintf("%d passages have no vector yet and are found by their words alone", waiting)
		}

		return near, nil
	case found.GetMode() == retrieverv1.Mode_MODE_VECTOR:
		return nil, fault.New(codes.Unavailable, "EMBEDDINGS_UNAVAILABLE", "%w", lacking)
	case s.embedder.wanted():
		found.Degraded = "words alone count: " + lacking.Error()
	}

	found.Mode = retrieverv1.Mode_MODE_TEXT

	return nil, nil
}

// near ranks by vectors; the error says why it can't.
func (s *Service) near(ctx context.Context, query string, most int) ([]hit, error) {
	if !s.embedder.wanted() {
		return nil, errNoModel
	}

	if s.vectors.len() == 0 && s.waiting() > 0 {
		if trouble := s.embedder.trouble(); trouble != nil {
			return nil, trouble
		}

		return nil, errNoVectors
	}

	vector, err := s.embedder.query(ctx, query)
	if err != nil {
		return nil, err
	}

	return s.vectors.nearest(vector, most)
}

// waiting is how many passages have no vector yet. Those that the endpoint refuses do not wait: they get none.
func (s *Service) waiting() int {
	if shelf := s.shelf.Load(); shelf != nil && s.embedder.wanted() {
		return max(0, shelf.passages-s.vectors.len()-int(s.embedder.refusals.Load()))
	}

	return 0
}

// ListDocuments returns what is indexed, and what was refused.
func (s *Service) ListDocuments(
	context.Context, *retrieverv1.ListDocumentsRequest,
) (*retrieverv1.ListDocumentsResponse, error) {
	shelf := s.shelf.Load()
	if shelf == nil {
		return nil, fault.New(codes.Unavailable, "NOT_INDEXED", "the documents are being read for the first time").After(time.Second)
	}

	list := &retrieverv1.ListDocumentsResponse{Documents: shelf.documents, Waiting: int64(s.waiting())}

	if !s.embedder.wanted() {
		list.Embeddings = errNoModel.Error()
	} else if trouble := s.embedder.trouble(); trouble != nil {
		list.Embeddings = trouble.Error()
	}

	return list, nil
}
