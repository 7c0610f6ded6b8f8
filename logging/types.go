// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"encoding"
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"sync"
)

var (
	urlType    = reflect.TypeFor[url.URL]()
	secretType = reflect.TypeFor[Secret]()
	headerType = reflect.TypeFor[map[string][]string]()

	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// typeInfo is what the walker needs to know of a type.
type typeInfo struct {
	// encodes says that the type has an encoding of its own, which is trusted.
	encodes bool
	fields  []field // of a struct
}

// field is a field of a struct as encoding/json sees it.
type field struct {
	index     int
	goName    string
	name      string // in JSON; empty if it is not in there
	exported  bool
	embedded  bool // its fields belong to the outer object
	omitEmpty bool
}

// typeInfos has an entry for each type met, of which a program has so many.
var typeInfos sync.Map // reflect.Type → *typeInfo

func infoOf(t reflect.Type) *typeInfo {
	if info, ok := typeInfos.Load(t); ok {
		return info.(*typeInfo)
	}
	info := &typeInfo{encodes: t.Implements(jsonMarshaler) || t.Implements(textMarshaler)}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			info.fields = append(info.fields, fieldOf(t.Field(i), i))
		}
	}
	actual, _ := typeInfos.LoadOrStore(t, info)
	return actual.(*typeInfo)
}

func fieldOf(sf reflect.StructField, index int) field {
	f := field{index: index, goName: sf.Name, name: sf.Name, exported: sf.IsExported()}
	tag := sf.Tag.Get("json")
	name, options, _ := strings.Cut(tag, ",")
	switch {
	case tag == "-":
		f.name = ""
	case name != "":
		f.name = name
	case sf.Anonymous:
		t := sf.Type
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		f.embedded = t.Kind() == reflect.Struct
	}
	f.omitEmpty = strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
	return f
}

// isScalar reports whether values of kind k hold no text.
func isScalar(k reflect.Kind) bool {
	return k >= reflect.Bool && k <= reflect.Complex128
}
