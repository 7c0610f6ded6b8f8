// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"log/slog"
	"net/url"
	"reflect"
)

// anyValue makes a value of kind Any fit. An error that needs it becomes its
// message, a URL always its string; a value that holds secrets or unsafe
// strings becomes maps, slices and strings of the shape that encoding/json
// would give it. Everything else is returned itself, also what has an encoding
// of its own.
func (c *cleaner) anyValue(v slog.Value) (slog.Value, bool) {
	switch x := v.Any().(type) {
	case nil, []byte:
		return v, false
	case error:
		return c.errorValue(v, x)
	case *url.URL:
		if x == nil {
			return v, false
		}
		return c.urlValue(x)
	case url.URL:
		return c.urlValue(&x)
	}
	rv := reflect.ValueOf(v.Any())
	check := walker{cleaner: c, left: maxParts}
	if !check.unfit(rv, false, 0) {
		return v, false
	}
	rebuild := walker{cleaner: c, left: maxParts}
	return slog.AnyValue(rebuild.rebuild(rv, false, 0)), true
}

func (c *cleaner) errorValue(v slog.Value, err error) (slog.Value, bool) {
	text, ok := errorText(err)
	if !ok {
		return v, false
	}
	shown := text
	if c.redactor != nil {
		shown = c.redactor.redactURLError(text, err)
	}
	shown, escaped := c.text(shown)
	if !escaped && shown == text {
		return v, false
	}
	return slog.StringValue(shown), true
}

func (c *cleaner) urlValue(u *url.URL) (slog.Value, bool) {
	text, _ := c.text(c.redactor.URL(u))
	return slog.StringValue(text), true
}
