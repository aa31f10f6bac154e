package contextstore

import (
	"fmt"
	"math"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

// maxDimensions bounds vectors.
const maxDimensions = 4096

// unit brings an embedding's vector to length 1; nil if there is no embedding. Errors: INVALID_ARGUMENT for one that has no
// direction, or no model.
func unit(embedding *contextv1.Embedding) ([]float32, error) {
	if embedding == nil {
		return nil, nil
	}

	if embedding.GetModel() == "" {
		return nil, fault.Invalid(fault.Violation{Field: "embedding.model", Message: "must name the model that made the vector"})
	}

	vector := embedding.GetVector()
	if len(vector) == 0 || len(vector) > maxDimensions {
		return nil, fault.Invalid(fault.Violation{
			Field: "embedding.vector", Message: fmt.Sprintf("has %d dimensions: must have 1 to %d", len(vector), maxDimensions),
		})
	}

	sum := 0.0
	for _, value := range vector {
		sum += float64(value) * float64(value)
	}

	length := math.Sqrt(sum)
	if length == 0 || math.IsNaN(length) || math.IsInf(length, 0) {
		return nil, fault.Invalid(fault.Violation{
			Field: "embedding.vector", Message: fmt.Sprintf("has the length %v: must be finite numbers, not all of them zero", length),
		})
	}

	made := make([]float32, len(vector))
	for i, value := range vector {
		made[i] = float32(float64(value) / length)
	}

	return made, nil
}
