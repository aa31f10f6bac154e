package agentspec

// Header is a header of requests: exactly one of value and env.
//
// +kubebuilder:validation:XValidation:rule="(has(self.value) && size(self.value) > 0) != (has(self.env) && size(self.env) > 0)",message="want exactly one of value and env"
type Header struct {
	// Name is the header's name.
	Name string `json:"name" required:"true" format:"header" max:"256"`
	// Value is what it says.
	Value string `json:"value,omitempty" format:"line" max:"8192"`
	// Env names the environment variable, of the process that runs tools, with what it says: for secrets.
	Env string `json:"env,omitempty" format:"env" max:"256"`
}

// Auth names the environment variables, of the process that runs tools, with what the server knows Serin by: a bearer
// token, or a user and a password for basic authentication.
//
// +kubebuilder:validation:XValidation:rule="(has(self.bearerEnv) && size(self.bearerEnv) > 0) ? !(has(self.userEnv) && size(self.userEnv) > 0) && !(has(self.passwordEnv) && size(self.passwordEnv) > 0) : (has(self.userEnv) && size(self.userEnv) > 0) && (has(self.passwordEnv) && size(self.passwordEnv) > 0)",message="want bearerEnv alone, or userEnv and passwordEnv"
type Auth struct {
	// BearerEnv names the variable with a bearer token.
	BearerEnv string `json:"bearerEnv,omitempty" format:"env" max:"256"`
	// UserEnv names the variable with a user's name.
	UserEnv string `json:"userEnv,omitempty" format:"env" max:"256"`
	// PasswordEnv names the variable with that user's password.
	PasswordEnv string `json:"passwordEnv,omitempty" format:"env" max:"256"`
}

// HTTPTool is a request that is a tool. Arguments in the path go there; what else is said of them is in parameters, and
// the rest goes into a JSON body, or, where the method has none, into the query.
type HTTPTool struct {
	// Name is the tool's, after the server's and an underscore.
	Name string `json:"name" required:"true" format:"httptool"`
	// Description tells models what it does.
	Description string `json:"description" required:"true" max:"4096"`
	// Method is the request's.
	Method string `json:"method" required:"true" enum:"GET,HEAD,POST,PUT,PATCH,DELETE"`
	// Path follows the server's URL. {name} stands for the argument of that name.
	Path string `json:"path" required:"true" format:"path" max:"2048"`
	// Input is the JSON Schema of the arguments, an object; without it there are none.
	Input Object `json:"input,omitempty"`
	// Output is the JSON Schema of the answer's body. An answer that does not match is an error.
	Output Object `json:"output,omitempty"`
	// Parameters say, by their names, of arguments where they go.
	Parameters map[string]HTTPParameter `json:"parameters,omitempty" max:"64"`
	// Body names the argument that is the whole body; by default that is an object of all that go nowhere else.
	Body string `json:"body,omitempty" max:"256"`
}

// HTTPParameter is where an argument goes.
type HTTPParameter struct {
	// In is the part of the request.
	In string `json:"in" required:"true" enum:"query,header,body"`
	// Name is what it is called there; by default as the argument is.
	Name string `json:"name,omitempty" format:"line" max:"256"`
}

// OpenAPI is a document of OpenAPI 3.0 or 3.1, in JSON or YAML: exactly one of file and document. The servers that it
// names are not asked, and other documents that it refers to are not read.
//
// +kubebuilder:validation:XValidation:rule="(has(self.file) && size(self.file) > 0) != (has(self.document) && size(self.document) > 0)",message="want exactly one of file and document"
type OpenAPI struct {
	// File is a path at or below the folder of this file. Only one machine has files: a cluster refuses it.
	//
	// +kubebuilder:validation:XValidation:rule="size(self) == 0",message="a cluster has no files: write the text as openapi.document"
	File string `json:"file,omitempty" max:"1024"`
	// Document is the text itself.
	Document string `json:"document,omitempty" max:"1048576"`
	// Operations are the operationIds that are tools; no other is.
	Operations []string `json:"operations" required:"true" max:"128" items:"256" blank:"no" unique:""`
}
