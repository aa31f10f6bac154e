package objects

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// frames writes the events of a watch.
type frames struct {
	request    *request
	controller *http.ResponseController
}

// begin answers that a stream follows.
func (f *frames) begin() {
	f.controller = f.request.unlimited()
	f.request.w.Header().Set("Content-Type", "application/json")
	f.request.w.WriteHeader(http.StatusOK)
}

// object writes an event about an object.
func (f *frames) object(kind watch.EventType, body []byte) error {
	if !f.request.table {
		return f.write(kind, encode(f.request.kind, f.request.version, body))
	}

	table, err := f.request.tabulate("", [][]byte{body})
	if err != nil {
		return err
	}

	return f.value(kind, table)
}

// bookmark writes how far the watch is.
func (f *frames) bookmark(version uint64, annotations map[string]string) error {
	return f.value(watch.Bookmark, metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{Kind: f.request.kind.name, APIVersion: f.request.kind.group + "/" + f.request.version},
		ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.FormatUint(version, 10), Annotations: annotations},
	})
}

// fail writes why the watch ends.
func (f *frames) fail(err error) error {
	if err := f.value(watch.Error, statusFor(err)); err != nil {
		return err
	}

	return f.flush()
}

func (f *frames) value(kind watch.EventType, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}

	return f.write(kind, text)
}

func (f *frames) write(kind watch.EventType, object []byte) error {
	_, err := fmt.Fprintf(f.request.w, `{"type":%q,"object":%s}`+"\n", kind, object)

	return err //nolint:wrapcheck // the client is gone, which is nobody's fault
}

func (f *frames) flush() error {
	return f.controller.Flush() //nolint:wrapcheck // as above
}
