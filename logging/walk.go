// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"fmt"
	"net/url"
	"reflect"
)

const (
	// maxDepth and maxParts bound the look into one value; what is past them is
	// replaced by truncated.
	maxDepth  = 16
	maxParts  = 1000
	truncated = "[TRUNCATED]"
)

// walker looks into one value. It first asks whether there is anything to do,
// without allocating in the usual cases, and rebuilds the value only then.
type walker struct {
	*cleaner
	left int
}

// fate is what becomes of a part of a value.
type fate int

const (
	keep fate = iota
	replace
	descend
)

// part returns what becomes of v, and what replaces it.
func (w *walker) part(v reflect.Value, hide bool, depth int) (string, fate) {
	if !v.IsValid() {
		return "", keep
	}
	if w.left--; w.left < 0 || depth > maxDepth {
		return truncated, replace
	}
	t := v.Type()
	if t == urlType {
		u := v.Interface().(url.URL)
		text, _ := w.text(w.redactor.URL(&u))
		return text, replace
	}
	if infoOf(t).encodes {
		if hide && !v.IsZero() {
			return Redacted, replace
		}
		return "", keep
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map:
		if v.IsNil() {
			return "", keep
		}
		return "", descend
	case reflect.Slice, reflect.Array:
		if !isScalar(t.Elem().Kind()) {
			return "", descend
		}
		if hide && v.Len() > 0 {
			return Redacted, replace
		}
		return "", keep
	case reflect.Struct:
		return "", descend
	case reflect.String:
		if hide && v.Len() > 0 {
			return Redacted, replace
		}
		text, changed := w.text(v.String())
		if changed {
			return text, replace
		}
		return "", keep
	default:
		if hide && !v.IsZero() {
			return Redacted, replace
		}
		return "", keep
	}
}

// unfit reports whether v or a part of it has to be replaced.
func (w *walker) unfit(v reflect.Value, hide bool, depth int) bool {
	_, what := w.part(v, hide, depth)
	if what != descend {
		return what == replace
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return w.unfit(v.Elem(), hide, depth)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if w.unfit(v.Index(i), hide, depth+1) {
				return true
			}
		}
		return false
	case reflect.Map:
		return w.unfitMap(v, hide, depth+1)
	default:
		return w.unfitFields(v, hide, depth+1)
	}
}

// unfitFields is unfit for structs.
func (w *walker) unfitFields(v reflect.Value, hide bool, depth int) bool {
	for _, f := range infoOf(v.Type()).fields {
		fv := v.Field(f.index)
		if f.embedded {
			if fv = indirect(fv); fv.IsValid() && depth <= maxDepth && w.unfitFields(fv, hide, depth+1) {
				return true
			}
			continue
		}
		inner := w.hidesField(f, hide)
		if !f.exported {
			// fmt prints such a string, JSON does not have it.
			if fv.Kind() == reflect.String && fv.Len() > 0 && (inner || fv.Type() == secretType) {
				return true
			}
			continue
		}
		if w.unfit(fv, inner, depth) {
			return true
		}
	}
	return false
}

// unfitMap is unfit for maps. Maps of header shape, which are most maps that
// are logged, are read without reflection.
func (w *walker) unfitMap(v reflect.Value, hide bool, depth int) bool {
	if v.Type().ConvertibleTo(headerType) {
		for k, values := range v.Convert(headerType).Interface().(map[string][]string) {
			if w.unfitKey(k) {
				return true
			}
			inner := w.hides(k, hide)
			for _, s := range values {
				w.left--
				if _, changed := w.text(s); changed || inner && s != "" || w.left < 0 {
					return true
				}
			}
		}
		return false
	}
	for it := v.MapRange(); it.Next(); {
		k := keyText(it.Key())
		if w.unfitKey(k) || w.unfit(it.Value(), w.hides(k, hide), depth) {
			return true
		}
	}
	return false
}

// rebuild returns v in the shape of its JSON, with the parts replaced that
// have to be.
func (w *walker) rebuild(v reflect.Value, hide bool, depth int) any {
	text, what := w.part(v, hide, depth)
	switch {
	case what == replace:
		return text
	case !v.IsValid():
		return nil
	case what == keep:
		return v.Interface()
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return w.rebuild(v.Elem(), hide, depth)
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.IsNil() {
			return nil
		}
		out := []any{}
		for i := range v.Len() {
			out = append(out, w.rebuild(v.Index(i), hide, depth+1))
			if w.left < 0 {
				break
			}
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for it := v.MapRange(); it.Next() && w.left >= 0; {
			k := keyText(it.Key())
			shown, _ := w.key(k)
			out[shown] = w.rebuild(it.Value(), w.hides(k, hide), depth+1)
		}
		return out
	default:
		out := map[string]any{}
		w.rebuildFields(out, v, hide, depth+1)
		return out
	}
}

// rebuildFields adds the fields of the struct v to out under their JSON names.
func (w *walker) rebuildFields(out map[string]any, v reflect.Value, hide bool, depth int) {
	for _, f := range infoOf(v.Type()).fields {
		fv := v.Field(f.index)
		switch {
		case f.embedded:
			if fv = indirect(fv); fv.IsValid() && depth <= maxDepth {
				w.rebuildFields(out, fv, hide, depth+1)
			}
		case !f.exported || f.name == "" || f.omitEmpty && fv.IsZero():
		default:
			out[f.name] = w.rebuild(fv, w.hidesField(f, hide), depth)
		}
	}
}

// indirect follows the pointer of an embedded struct; invalid if it is nil.
func indirect(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Pointer {
		return v.Elem()
	}
	return v
}

// hidesField goes by both names of a field: encoding/json shows the one, fmt the other.
func (w *walker) hidesField(f field, hide bool) bool {
	return w.hides(f.goName, hide) || w.hides(f.name, hide)
}

func (w *walker) hides(key string, hide bool) bool {
	if w.redactor == nil || key == "" {
		return hide
	}
	return w.redactor.verdict(key).hides(hide)
}

func (w *walker) unfitKey(key string) bool {
	_, changed := w.key(key)
	return changed
}

// keyText returns a map's key as a string.
func keyText(k reflect.Value) string {
	if k.Kind() == reflect.String {
		return k.String()
	}
	return fmt.Sprint(k.Interface())
}
