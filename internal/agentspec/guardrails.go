package agentspec

import "reflect"

// Guardrails stop texts on their way in and out, or change them.
type Guardrails struct {
	// Input rules look at what users write.
	Input []Guardrail `json:"input,omitempty" max:"64" unique:"name"`
	// Output rules look at what the agent answers.
	Output []Guardrail `json:"output,omitempty" max:"64" unique:"name"`
	// Redaction hides personal data from models; users, and tools if so chosen, still see it.
	Redaction *Redaction `json:"redaction,omitempty"`
	// OutputSchema is a JSON Schema that the agent's answer must fit: it is JSON then, and nothing else. A model whose
	// answer does not fit is told so and may write it once more; then the turn fails.
	OutputSchema Object `json:"outputSchema,omitempty"`
}

// Guardrail is one rule: exactly one of maxLength, pattern, words and topics.
//
// +kubebuilder:validation:XValidation:rule="[has(self.maxLength), has(self.pattern) && size(self.pattern) > 0, has(self.words) && self.words.size() > 0, has(self.topics) && self.topics.size() > 0].filter(given, given).size() == 1",messageExpression="'want exactly one of maxLength, pattern, words, topics; %d are set'.format([[has(self.maxLength), has(self.pattern) && size(self.pattern) > 0, has(self.words) && self.words.size() > 0, has(self.topics) && self.topics.size() > 0].filter(given, given).size()])"
// +kubebuilder:validation:XValidation:rule="!has(self.classifier) || (has(self.topics) && self.topics.size() > 0)",fieldPath=".classifier",message="has a meaning with topics only"
type Guardrail struct { //nolint:recvcheck // what is generated takes a pointer; what reads a rule takes a copy
	// Name is what the event and the metrics call it.
	Name string `json:"name" required:"true" format:"label"`
	// MaxLength is the most bytes that the text may have.
	MaxLength int `json:"maxLength,omitempty" min:"1" max:"1048576"`
	// Pattern is an RE2 regular expression that must not match.
	Pattern string `json:"pattern,omitempty" max:"4096" format:"regexp"`
	// Words must not occur, whatever their case, as whole words.
	Words []string `json:"words,omitempty" max:"1024" items:"256" blank:"no"`
	// Topics must not be what the text is about; a model decides.
	Topics []Topic `json:"topics,omitempty" max:"16" unique:"name"`
	// Classifier is the model that decides about topics; by default the agent's own.
	Classifier *Classifier `json:"classifier,omitempty"`
	// Message is what the user is told; a default names the rule.
	Message string `json:"message,omitempty" max:"4096"`
}

// Checks is how a rule with topics is decided, with what was left out filled in.
func (g Guardrail) Checks() Classifier {
	filled := Guardrail{Classifier: &Classifier{}}
	if g.Classifier != nil {
		*filled.Classifier = *g.Classifier
	}

	fill(reflect.ValueOf(&filled).Elem())

	return *filled.Classifier
}

// Topic is something that a text must not be about.
type Topic struct {
	// Name is what the event calls it.
	Name string `json:"name" required:"true" format:"label"`
	// Description tells the classifier what belongs to it, and what does not.
	Description string `json:"description" required:"true" max:"1024"`
	// Examples are texts about it.
	Examples []string `json:"examples,omitempty" max:"8" items:"512" blank:"no"`
}

// Classifier is a model that decides whether a text is about a denied topic, and what it may use.
type Classifier struct {
	// Model is the provider's name of the model; by default the agent's, with its fallbacks.
	Model string `json:"model,omitempty" max:"256"`
	// MaxTokens limits one decision's answer, thinking included.
	MaxTokens int64 `json:"maxTokens,omitempty" default:"256" min:"16" max:"16384"`
	// Timeout of one decision.
	Timeout Duration `json:"timeout,omitempty" default:"10s" min:"100ms" max:"1m"`
	// MaxChecks is how many decisions of this rule one turn may ask for; what comes after counts as undecided.
	MaxChecks int32 `json:"maxChecks,omitempty" default:"8" min:"1" max:"64"`
	// OnFailure is what happens to a text that could not be decided about: closed stops it, open lets it pass.
	OnFailure string `json:"onFailure,omitempty" default:"closed" enum:"closed,open"`
}

// Redaction replaces personal data by placeholders such as [EMAIL_1] wherever a model reads it. The same value has the
// same placeholder throughout a conversation.
type Redaction struct {
	// Kinds are what is replaced: email; phone (with a country code, or as countries usually write it); card (by Luhn's
	// check digit); iban (by its check digits); national-id (of BE, BR, DE, ES, FI, FR, IT, PL and SE, by their check
	// digits).
	Kinds []string `json:"kinds" required:"true" max:"8" of:"card,email,iban,national-id,phone" unique:""`
	// Tools is what tools get where their arguments have placeholders: the restored values, or, with redacted, the
	// placeholders.
	Tools string `json:"tools,omitempty" default:"restored" enum:"restored,redacted"`
}
