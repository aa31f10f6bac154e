package agentspec

import "reflect"

// clone returns a copy that shares nothing with the agent.
func (a Agent) clone() Agent {
	return deepCopy(reflect.ValueOf(a)).Interface().(Agent) //nolint:forcetypeassert // a copy has the type of its source
}

func deepCopy(from reflect.Value) reflect.Value {
	to := reflect.New(from.Type()).Elem()

	switch {
	case from.Kind() == reflect.Struct:
		for i := range from.NumField() {
			to.Field(i).Set(deepCopy(from.Field(i)))
		}
	case from.Kind() == reflect.Slice && !from.IsNil():
		to = reflect.MakeSlice(from.Type(), from.Len(), from.Len())
		for i := range from.Len() {
			to.Index(i).Set(deepCopy(from.Index(i)))
		}
	case from.Kind() == reflect.Map && !from.IsNil():
		to = reflect.MakeMapWithSize(from.Type(), from.Len())
		for entries := from.MapRange(); entries.Next(); {
			to.SetMapIndex(entries.Key(), deepCopy(entries.Value()))
		}
	case from.Kind() == reflect.Pointer && !from.IsNil():
		to = reflect.New(from.Type().Elem())
		to.Elem().Set(deepCopy(from.Elem()))
	default:
		to.Set(from)
	}

	return to
}
