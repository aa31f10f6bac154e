package objects

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// fragment is a piece of an OpenAPI document.
type fragment = map[string]any

// index says where the documents of the groups are.
func (ks kinds) index() fragment {
	paths := fragment{}

	for group, versions := range ks.groups() {
		for _, version := range versions {
			paths["apis/"+group+"/"+version] = fragment{"serverRelativeURL": "/openapi/v3/apis/" + group + "/" + version}
		}
	}

	return fragment{"paths": paths}
}

// openAPI describes a group: enough for kubectl to leave validation to the server, and for kubectl explain.
func (ks kinds) openAPI(group, version string) fragment {
	paths, schemas := fragment{}, fragment{}

	for _, k := range ks.of(group) {
		gvk := fragment{"group": group, "version": version, "kind": k.name}
		schemas[group+"."+version+"."+k.name] = k.schema(gvk)
		at := "/apis/" + group + "/" + version + "/namespaces/{namespace}/" + k.plural

		paths[at] = fragment{"post": operation(gvk, "post")}
		paths[at+"/{name}"] = fragment{"get": operation(gvk, "get"), "put": operation(gvk, "put"), "patch": operation(gvk, "patch")}
	}

	return fragment{
		"openapi": "3.0.0", "info": fragment{"title": "Serin's objects", "version": version},
		"paths": paths, "components": fragment{"schemas": schemas},
	}
}

// operation describes a method on a kind.
func operation(gvk fragment, action string) fragment {
	described := fragment{"x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk, "responses": fragment{}}
	if action == "get" {
		return described
	}

	described["parameters"] = []any{parameter("dryRun"), parameter("fieldValidation")}

	return described
}

func parameter(name string) fragment {
	return fragment{"name": name, "in": "query", "schema": fragment{"type": "string"}}
}

// schema describes a kind.
func (k *kind) schema(gvk fragment) fragment {
	return fragment{
		"type": "object", "x-kubernetes-group-version-kind": []any{gvk},
		"properties": fragment{
			"apiVersion": fragment{"type": "string"}, "kind": fragment{"type": "string"},
			"metadata": fragment{"type": "object"},
			"spec":     messageSchema(k.spec, nil), "status": messageSchema(k.status, nil),
		},
	}
}

// messageSchema describes a message; within are the messages around it, as one that contains itself is not unfolded.
func messageSchema(md protoreflect.MessageDescriptor, within []protoreflect.FullName) fragment {
	if scalar, known := wellKnown(md); known {
		if scalar != nil {
			return fieldSchema(scalar, within)
		}

		if md.Name() == "Duration" || md.Name() == "Timestamp" {
			return fragment{"type": "string"}
		}

		return fragment{"type": "object"}
	}

	if slices.Contains(within, md.FullName()) {
		return fragment{"type": "object"}
	}

	within = append(slices.Clip(within), md.FullName())
	properties := fragment{}

	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		properties[fd.JSONName()] = fieldSchema(fd, within)
	}

	return fragment{"type": "object", "properties": properties}
}

// fieldSchema describes a field.
func fieldSchema(fd protoreflect.FieldDescriptor, within []protoreflect.FullName) fragment {
	switch {
	case fd.IsMap():
		return fragment{"type": "object", "additionalProperties": singleSchema(fd.MapValue(), within)}
	case fd.IsList():
		return fragment{"type": "array", "items": singleSchema(fd, within)}
	default:
		return singleSchema(fd, within)
	}
}

func singleSchema(fd protoreflect.FieldDescriptor, within []protoreflect.FullName) fragment {
	switch fd.Kind() { //nolint:exhaustive // the rest are integers
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return messageSchema(fd.Message(), within)
	case protoreflect.StringKind, protoreflect.BytesKind:
		return fragment{"type": "string"}
	case protoreflect.BoolKind:
		return fragment{"type": "boolean"}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return fragment{"type": "number"}
	case protoreflect.EnumKind:
		names := make([]any, fd.Enum().Values().Len())
		for i := range names {
			names[i] = string(fd.Enum().Values().Get(i).Name())
		}

		return fragment{"type": "string", "enum": names}
	default:
		return fragment{"type": "integer"}
	}
}
