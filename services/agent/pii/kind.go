package pii

// Kind is a kind of personal data, by the name that agents' files give it.
type Kind string

// The kinds, in the order in which they are looked for: what one has taken, no later one sees.
const (
	// literal is what looks like a placeholder and is none: it gets a placeholder of its own, so that it comes back.
	literal Kind = ""

	Email      Kind = "email"
	IBAN       Kind = "iban"
	Card       Kind = "card"
	NationalID Kind = "national-id"
	Phone      Kind = "phone"
)

// label is the kind's name in placeholders.
func (k Kind) label() string {
	switch k {
	case Email:
		return "EMAIL"
	case IBAN:
		return "IBAN"
	case Card:
		return "CARD"
	case NationalID:
		return "ID"
	case Phone:
		return "PHONE"
	case literal:
	}

	return "TEXT"
}

// opening is how a placeholder of the kind begins.
func (k Kind) opening() string { return "[" + k.label() + "_" }

// kinds are all kinds.
func kinds() [6]Kind { return [6]Kind{Email, IBAN, Card, NationalID, Phone, literal} }
