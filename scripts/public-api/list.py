#!/usr/bin/env python3
"""Prints the public API of one crate, one line per item, from the JSON of rustdoc.

    list.py target/doc/tower_bearer.json

An item that has several public paths is listed at the shortest one, and the others are `pub use` lines. Local types are named
by their path in the crate, types of the standard library by their last segment, other foreign types by crate and last segment.
Trait implementations are listed with their associated types. Of the auto traits, only those are listed that a type does *not*
implement (`impl !Send for …`).
"""

import json
import sys

STANDARD = ("core", "alloc", "std")
# Derived or compiler-internal, without meaning for users.
HIDDEN_TRAITS = {"StructuralPartialEq", "Freeze", "UnsafeUnpin"}
AUTO_TRAITS = {"Send", "Sync", "Unpin"}


class Crate:
    def __init__(self, data):
        self.index = data["index"]
        self.paths = data["paths"]
        self.root = str(data["root"])
        self.lines = []
        # Public paths of each local item: id -> list of path strings.
        self.places = {}
        self.foreign = []
        self.walk(self.index[self.root], "", ())
        self.path_of = {
            item: min(places, key=lambda path: (path.count("::"), path)) for item, places in self.places.items()
        }

    # --- names

    def walk(self, module, prefix, above):
        """Collects the public paths of what a module contains."""
        if module["id"] in above:
            return
        above = (*above, module["id"])
        (kind, inner), = module["inner"].items()
        for child in inner["variants"] if kind == "enum" else inner["items"]:
            item = self.index.get(str(child))
            if item is None:
                continue
            (kind, inner), = item["inner"].items()
            if kind == "use":
                target = self.index.get(str(inner["id"]))
                if target is None:
                    if item["visibility"] == "public":
                        glob = "::*" if inner["is_glob"] else ""
                        self.foreign.append((prefix + inner["name"], inner["source"] + glob))
                elif inner["is_glob"]:
                    self.walk(target, prefix, above)
                else:
                    self.place(target, prefix + inner["name"], above)
            elif kind != "impl":
                self.place(item, prefix + item["name"], above)

    def place(self, item, path, above):
        if item["visibility"] not in ("public", "default"):
            return
        self.places.setdefault(str(item["id"]), []).append(path)
        if "module" in item["inner"]:
            self.walk(item, path + "::", above)

    def name(self, path):
        """The name of a type or trait in a signature."""
        identifier = str(path["id"])
        if identifier in self.path_of:
            return self.path_of[identifier]
        segments = self.paths.get(identifier, {}).get("path")
        if not segments:
            return path["path"].split("::")[-1]
        if segments[0] in STANDARD:
            return segments[-1]
        if self.paths[identifier]["crate_id"] == 0:
            return "(private)::" + segments[-1]
        return segments[0] + "::" + segments[-1]

    # --- signatures

    def type(self, it):
        if it is None:
            return "_"
        if it == "infer":
            return "_"
        (kind, inner), = it.items()
        if kind == "resolved_path":
            return self.name(inner) + self.arguments(inner["args"])
        if kind == "dyn_trait":
            parts = [self.higher(part["generic_params"]) + self.trait(part["trait"]) for part in inner["traits"]]
            if inner["lifetime"]:
                parts.append(inner["lifetime"])
            return "dyn " + " + ".join(parts)
        if kind in ("generic", "primitive"):
            return "!" if inner == "never" else inner
        if kind == "function_pointer":
            header = self.header(inner["header"])
            return self.higher(inner["generic_params"]) + header + "fn" + self.signature(inner["sig"], named=False)
        if kind == "tuple":
            return "(" + ", ".join(map(self.type, inner)) + ("," if len(inner) == 1 else "") + ")"
        if kind == "slice":
            return f"[{self.type(inner)}]"
        if kind == "array":
            return f"[{self.type(inner['type'])}; {inner['len']}]"
        if kind == "impl_trait":
            return "impl " + self.bounds(inner)
        if kind == "raw_pointer":
            return ("*mut " if inner["is_mutable"] else "*const ") + self.type(inner["type"])
        if kind == "borrowed_ref":
            lifetime = inner["lifetime"] + " " if inner["lifetime"] else ""
            target = self.type(inner["type"])
            if " + " in target and target.startswith(("dyn ", "impl ")):
                target = f"({target})"
            return "&" + lifetime + ("mut " if inner["is_mutable"] else "") + target
        if kind == "qualified_path":
            base = self.type(inner["self_type"])
            trait = inner["trait"]
            arguments = self.arguments(inner["args"])
            if trait is None or base == "Self":
                return f"{base}::{inner['name']}{arguments}"
            return f"<{base} as {self.trait(trait)}>::{inner['name']}{arguments}"
        raise ValueError(f"unknown type {it}")

    def trait(self, path):
        return self.name(path) + self.arguments(path["args"])

    def arguments(self, it):
        if it is None:
            return ""
        if it == "return_type_notation":
            return "(..)"
        (kind, inner), = it.items()
        if kind == "parenthesized":
            output = f" -> {self.type(inner['output'])}" if inner["output"] else ""
            return "(" + ", ".join(map(self.type, inner["inputs"])) + ")" + output
        if kind != "angle_bracketed":
            raise ValueError(f"unknown arguments {it}")
        parts = [self.argument(part) for part in inner["args"]]
        for constraint in inner["constraints"]:
            name = constraint["name"] + self.arguments(constraint["args"])
            (how, value), = constraint["binding"].items()
            parts.append(f"{name} = {self.term(value)}" if how == "equality" else f"{name}: {self.bounds(value)}")
        return "<" + ", ".join(parts) + ">" if parts else ""

    def argument(self, it):
        if it == "infer":
            return "_"
        (kind, inner), = it.items()
        if kind == "lifetime":
            return inner
        return self.type(inner) if kind == "type" else self.constant(inner)

    def term(self, it):
        (kind, inner), = it.items()
        return self.type(inner) if kind == "type" else self.constant(inner)

    @staticmethod
    def constant(it):
        return it["value"] or it["expr"]

    def bounds(self, bounds):
        return " + ".join(map(self.bound, bounds))

    def bound(self, it):
        (kind, inner), = it.items()
        if kind == "outlives":
            return inner
        if kind == "use":
            return "use<" + ", ".join(next(iter(part.values())) for part in inner) + ">"
        if kind != "trait_bound":
            raise ValueError(f"unknown bound {it}")
        modifier = {"none": "", "maybe": "?", "maybe_const": "~const "}[inner["modifier"]]
        return self.higher(inner["generic_params"]) + modifier + self.trait(inner["trait"])

    def higher(self, parameters):
        return "for<" + ", ".join(parameter["name"] for parameter in parameters) + "> " if parameters else ""

    def generics(self, generics, impl=False):
        parts = []
        for parameter in generics["params"]:
            (kind, inner), = parameter["kind"].items()
            text = parameter["name"]
            if kind == "lifetime":
                if inner["outlives"]:
                    text += ": " + " + ".join(inner["outlives"])
            elif kind == "type":
                if inner["is_synthetic"]:
                    continue
                if inner["bounds"]:
                    text += ": " + self.bounds(inner["bounds"])
                if inner["default"] and not impl:
                    text += " = " + self.type(inner["default"])
            else:
                text = f"const {text}: {self.type(inner['type'])}"
                if inner["default"]:
                    text += " = " + inner["default"]
            parts.append(text)
        return "<" + ", ".join(parts) + ">" if parts else ""

    def where(self, *all_generics):
        parts = []
        for predicate in (part for generics in all_generics for part in generics["where_predicates"]):
            (kind, inner), = predicate.items()
            if kind == "bound_predicate":
                if inner["bounds"]:
                    higher = self.higher(inner["generic_params"])
                    parts.append(f"{higher}{self.type(inner['type'])}: {self.bounds(inner['bounds'])}")
            elif kind == "lifetime_predicate":
                parts.append(f"{inner['lifetime']}: {' + '.join(inner['outlives'])}")
            elif kind == "eq_predicate":
                parts.append(f"{self.type(inner['lhs'])} = {self.term(inner['rhs'])}")
            else:
                raise ValueError(f"unknown predicate {predicate}")
        return " where " + ", ".join(parts) if parts else ""

    def signature(self, it, named=True):
        inputs = []
        for name, kind in it["inputs"]:
            text = self.type(kind)
            if name == "self":
                short = {"Self": "self", "&Self": "&self", "&mut Self": "&mut self"}
                inputs.append(short.get(text, f"self: {text}"))
            else:
                inputs.append(f"{name}: {text}" if named else text)
        if it["is_c_variadic"]:
            inputs.append("...")
        output = f" -> {self.type(it['output'])}" if it["output"] else ""
        return "(" + ", ".join(inputs) + ")" + output

    @staticmethod
    def header(it):
        abi = it["abi"] if isinstance(it["abi"], str) else next(iter(it["abi"]))
        words = [word for word in ("const", "async", "unsafe") if it["is_" + word]]
        if abi != "Rust":
            words.append(f'extern "{abi}"')
        return "".join(word + " " for word in words)

    # --- items

    def emit(self, path, rank, text, item=None):
        attributes = ""
        if item:
            if "non_exhaustive" in item["attrs"]:
                attributes += "#[non_exhaustive] "
            for attribute in item["attrs"]:
                if isinstance(attribute, dict) and "repr" in attribute:
                    attributes += "#[repr] "
            if item["deprecation"]:
                attributes += "#[deprecated] "
        self.lines.append((path, rank, attributes + text))

    def function(self, path, item, shown=None, outer=(), prefix="pub "):
        it = item["inner"]["function"]
        text = f"{prefix}{self.header(it['header'])}fn {shown or path}{self.generics(it['generics'])}"
        text += self.signature(it["sig"]) + self.where(*outer, it["generics"])
        self.emit(path, 2, text, item)

    def fields(self, path, identifiers, public=True):
        """Fields of a struct or union: one line for each."""
        for identifier in identifiers:
            field = self.index.get(str(identifier))
            if field and (not public or field["visibility"] == "public"):
                text = self.type(field["inner"]["struct_field"])
                self.emit(f"{path}::{field['name']}", 1, f"pub field {path}::{field['name']}: {text}", field)

    def field_types(self, identifiers):
        fields = [self.index.get(str(identifier)) if identifier is not None else None for identifier in identifiers]
        return ", ".join(self.type(field["inner"]["struct_field"]) if field else "_" for field in fields)

    def item(self, item, path):
        (kind, it), = item["inner"].items()
        if kind == "module":
            self.emit(path, 0, f"pub mod {path}", item)
        elif kind == "function":
            self.function(path, item)
        elif kind == "struct":
            text = f"pub struct {path}{self.generics(it['generics'])}"
            shape = it["kind"]
            if shape != "unit" and "tuple" in shape:
                text += f"({self.field_types(shape['tuple'])})"
            self.emit(path, 0, text + self.where(it["generics"]), item)
            if shape != "unit" and "plain" in shape:
                self.fields(path, shape["plain"]["fields"])
                if not shape["plain"]["has_stripped_fields"]:
                    self.emit(path, 1, f"pub struct {path} has only public fields")
            self.implementations(it["impls"], path)
        elif kind == "union":
            self.emit(path, 0, f"pub union {path}{self.generics(it['generics'])}{self.where(it['generics'])}", item)
            self.fields(path, it["fields"])
            self.implementations(it["impls"], path)
        elif kind == "enum":
            self.emit(path, 0, f"pub enum {path}{self.generics(it['generics'])}{self.where(it['generics'])}", item)
            for identifier in it["variants"]:
                variant = self.index.get(str(identifier))
                if variant:
                    self.variant(variant, f"{path}::{variant['name']}")
            self.implementations(it["impls"], path)
        elif kind == "variant":
            self.variant(item, path)
        elif kind == "trait":
            self.trait_item(item, it, path)
        elif kind == "trait_alias":
            text = f"pub trait {path}{self.generics(it['generics'])} = {self.bounds(it['params'])}"
            self.emit(path, 0, text + self.where(it["generics"]), item)
        elif kind == "type_alias":
            text = f"pub type {path}{self.generics(it['generics'])}{self.where(it['generics'])} = {self.type(it['type'])}"
            self.emit(path, 0, text, item)
        elif kind == "constant":
            self.emit(path, 0, f"pub const {path}: {self.type(it['type'])}", item)
        elif kind == "static":
            mutable = "mut " if it["is_mutable"] else ""
            self.emit(path, 0, f"pub static {mutable}{path}: {self.type(it['type'])}", item)
        elif kind in ("macro", "proc_macro"):
            self.emit(path, 0, f"pub macro {path}!", item)
        else:
            raise ValueError(f"unknown item {kind} at {path}")

    def variant(self, variant, path):
        it = variant["inner"]["variant"]
        shape = it["kind"]
        text = f"pub variant {path}"
        if shape != "plain" and "tuple" in shape:
            text += f"({self.field_types(shape['tuple'])})"
        elif shape != "plain":
            fields = [self.index.get(str(field)) for field in shape["struct"]["fields"]]
            parts = [f"{field['name']}: {self.type(field['inner']['struct_field'])}" for field in fields if field]
            if shape["struct"]["has_stripped_fields"]:
                parts.append("_")
            text += " { " + ", ".join(parts) + " }"
        if it["discriminant"]:
            text += " = " + it["discriminant"]["value"]
        self.emit(path, 1, text, variant)

    def trait_item(self, item, it, path):
        words = "".join(word + " " for word in ("unsafe", "auto") if it["is_" + word])
        bounds = f": {self.bounds(it['bounds'])}" if it["bounds"] else ""
        text = f"pub {words}trait {path}{self.generics(it['generics'])}{bounds}{self.where(it['generics'])}"
        self.emit(path, 0, text + ("" if it["is_dyn_compatible"] else " (not dyn compatible)"), item)
        for identifier in it["items"]:
            child = self.index.get(str(identifier))
            if child is None:
                # `#[doc(hidden)]`
                continue
            (kind, inner), = child["inner"].items()
            place = f"{path}::{child['name']}"
            if kind == "function":
                self.function(place, child, prefix="provided " if inner["has_body"] else "required ")
            else:
                self.associated(place, child, kind, inner)
        self.implementations(it["implementations"], path)

    def associated(self, place, item, kind, inner, prefix="", outer=()):
        if kind == "assoc_type":
            text = f"{prefix}type {place}{self.generics(inner['generics'])}"
            if inner["bounds"]:
                text += ": " + self.bounds(inner["bounds"])
            if inner["type"]:
                text += " = " + self.type(inner["type"])
            self.emit(place, 1, text + self.where(*outer, inner["generics"]), item)
        elif kind == "assoc_const":
            value = f" = {inner['value']}" if inner["value"] and not prefix else ""
            self.emit(place, 1, f"{prefix}const {place}: {self.type(inner['type'])}{value}", item)
        else:
            raise ValueError(f"unknown associated item {kind} at {place}")

    def implementations(self, identifiers, path):
        for identifier in identifiers:
            item = self.index.get(str(identifier))
            if item is None:
                continue
            it = item["inner"]["impl"]
            if it["blanket_impl"]:
                continue
            # The same parameters as those of the type, so the bounds of `impl<…>` are shown as a where clause.
            outer = self.as_where(it["generics"])
            if it["trait"] is None:
                shown = self.type(it["for"])
                for child in it["items"]:
                    child = self.index.get(str(child))
                    if child is None or child["visibility"] != "public":
                        continue
                    (kind, inner), = child["inner"].items()
                    place = f"{path}::{child['name']}"
                    if kind == "function":
                        self.function(place, child, f"{shown}::{child['name']}", (outer,))
                    else:
                        self.associated(place, child, kind, inner, "pub ", (outer,))
                continue
            trait = it["trait"]
            name = self.name(trait)
            if name in HIDDEN_TRAITS or name.startswith("(private)::"):
                continue
            if it["is_synthetic"] and not (it["is_negative"] and name in AUTO_TRAITS):
                continue
            negative = "!" if it["is_negative"] else ""
            unsafe = "unsafe " if it["is_unsafe"] else ""
            text = f"{unsafe}impl{self.generics(it['generics'], impl=True)} {negative}{self.trait(trait)} for {self.type(it['for'])}"
            text += self.where(it["generics"])
            types = []
            for child in it["items"]:
                child = self.index.get(str(child))
                if child and "assoc_type" in child["inner"]:
                    inner = child["inner"]["assoc_type"]
                    types.append(f"type {child['name']}{self.generics(inner['generics'])} = {self.type(inner['type'])}")
            if types:
                text += " { " + "; ".join(sorted(types)) + " }"
            self.emit(path, 3, text)

    @staticmethod
    def as_where(generics):
        predicates = []
        for parameter in generics["params"]:
            inner = parameter["kind"].get("type")
            if inner and inner["bounds"] and not inner["is_synthetic"]:
                predicates.append(
                    {
                        "bound_predicate": {
                            "type": {"generic": parameter["name"]},
                            "bounds": inner["bounds"],
                            "generic_params": [],
                        }
                    }
                )
        return {"where_predicates": predicates + generics["where_predicates"]}

    def list(self):
        for identifier, places in self.places.items():
            main = self.path_of[identifier]
            self.item(self.index[identifier], main)
            for other in sorted(set(places) - {main}):
                self.emit(other, 0, f"pub use {other} = {main}")
        for path, source in self.foreign:
            self.emit(path, 0, f"pub use {path} = {source}")
        seen = set()
        for _, _, text in sorted(self.lines):
            # An implementation of a local trait for a local type is reached from both.
            if text not in seen:
                seen.add(text)
                yield text


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)
    for line in Crate(data).list():
        print(line)


if __name__ == "__main__":
    main()
