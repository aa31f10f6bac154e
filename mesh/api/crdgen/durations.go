package main

import (
	"fmt"
	"reflect"
)

// durationForm is what time.ParseDuration takes.
const durationForm = `^[-+]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$|^[-+]?0$`

// duration adds form and range of a duration.
func duration(into *schema, tag reflect.StructTag) {
	bound(into)

	isDuration := matches("self", durationForm)
	tell(into, isDuration, "want a duration such as 30s, 2m or 1h30m",
		words("want a duration such as 30s, 2m or 1h30m, not the text %s", quoted("self")))

	least, most := tag.Get("min"), tag.Get("max")
	said := fmt.Sprintf(" is out of range, %s to %s", least, most)
	tell(into,
		fmt.Sprintf("!%s || duration(self) >= duration('%s') && duration(self) <= duration('%s')", isDuration, least, most),
		"out of range, "+least+" to "+most,
		fmt.Sprintf("duration(self) == duration('0s') ? %s : %s", literal("0"+said+hint(tag)), words("%s"+said, "self")))
}

// upTo is the rule that a field must not exceed another one beside it.
func upTo(name, other string, t reflect.Type) rule {
	low, high := "self."+name, "self."+other
	given := fmt.Sprintf("!has(%s) || !has(%s)", low, high)
	compared := fmt.Sprintf("%s <= %s", low, high)

	if t == durationType {
		given += fmt.Sprintf(" || !%s || !%s", matches(low, durationForm), matches(high, durationForm))
		compared = fmt.Sprintf("duration(%s) <= duration(%s)", low, high)
	}

	return rule{
		Rule: given + " || " + compared, FieldPath: "." + name, Message: "more than " + other,
		MessageExpression: words("%s is more than "+other+", %s", low, high),
	}
}
