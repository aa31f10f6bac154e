package contextstore

import (
	"context"
	"fmt"
)

// MemoryReady says whether memories can be looked for, by words and by vectors: that there are words alone is an error, too.
func (s *Service) MemoryReady(ctx context.Context) error {
	return s.store.View(ctx, About{Tenant: "-", Scope: MemoriesOf("-", "-")}, func(rows Reader) error {
		nobody := MemoryScope{Tenant: "-", User: "-", Now: s.now(rows)}
		if _, err := rows.MemoriesByWords(nobody, []string{"health"}, 1); err != nil {
			return err
		}

		problem, err := rows.VectorProblem()

		switch {
		case err != nil:
			return err
		case problem != "":
			return fmt.Errorf("words alone: %s", problem)
		}

		_, err = rows.MemoriesByVector(nobody, "health", []float32{1}, 0, 1)

		return err
	})
}
