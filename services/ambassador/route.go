package ambassador

import "context"

// route is the order in which providers are asked: the primary, or all by weighted draw; then the fallback.
func (s *Service) route() []*provider {
	order := []*provider{}

	if primary := s.providers[s.cfg.Primary]; primary != nil {
		order = append(order, primary)
	} else {
		order = weighted(s.drawn, s.cfg.Rand)
	}

	if fallback := s.providers[s.cfg.Fallback]; fallback != nil && s.cfg.Fallback != s.cfg.Primary {
		order = append(order, fallback)
	}

	return order
}

// weighted draws an order without replacement: each place goes to a provider with its share of the weight left.
func weighted(providers []*provider, draw func() float64) []*provider {
	left, order := append([]*provider{}, providers...), make([]*provider, 0, len(providers)+1)

	for len(left) > 0 {
		sum := 0
		for _, candidate := range left {
			sum += candidate.Weight
		}

		at, point := 0, draw()*float64(sum)
		for point -= float64(left[0].Weight); point >= 0 && at < len(left)-1; point -= float64(left[at].Weight) {
			at++
		}

		order = append(order, left[at])
		left = append(left[:at], left[at+1:]...)
	}

	return order
}

// targets are whom to ask for what, in order: every provider for the first model, then for the next.
func (s *Service) targets(ctx context.Context, models []string) []target {
	order, targets := s.route(), []target{}

	for _, model := range models {
		for _, provider := range order {
			name, serves := provider.serves(model)
			if !serves {
				continue
			}

			if name == "" {
				name = s.firstListed(ctx, provider)
			}

			targets = append(targets, target{provider: provider, model: name})
		}
	}

	return targets
}

// firstListed is the default model of a provider that was given none, such as an Ollama with whatever was pulled.
func (s *Service) firstListed(ctx context.Context, provider *provider) string {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Deadlines.Connect)
	defer cancel()

	models, err := provider.models(ctx)
	if err != nil || len(models) == 0 {
		return DefaultModel // the try itself will say what is wrong
	}

	return models[0]
}
