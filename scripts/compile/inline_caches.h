/* Inline caches for compiled modules, as CPython's interpreter has them (docs/adr/0013).
 *
 * mypyc finds an attribute of what it has not compiled (a msgspec.Struct, a slotted dataclass) and a
 * global of a module by the general functions of C Python: 115 and 125 machine instructions each time,
 * some 450 times a call. CPython's own interpreter has long since remembered, at that very place, where
 * the last one was (LOAD_ATTR_SLOT, LOAD_ATTR_WITH_HINT). So do these two, by the same guards; whatever
 * does not fit goes the general way.
 *
 * INVARIANT: only places are remembered, a slot's in objects of a type and an entry's in a dict, never a
 * value. The value is read anew each time, by the thread that holds the GIL, so none is used that is not
 * there any more.
 *
 * Only for CPython 3.11, whose source this was checked against, and for compilers with statement
 * expressions; elsewhere mypyc's own way stands. The hook includes this below mypyc's own headers.
 */
#ifndef BAILIWICK_INLINE_CACHES_H
#define BAILIWICK_INLINE_CACHES_H

#if defined(__GNUC__) && PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030C0000

#include <structmember.h>

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE
#endif
#include "internal/pycore_dict.h"

#ifndef MAX_MISSES
#define MAX_MISSES 32u /* then a place is left alone: it sees now one type, now another */
#endif

/* Whether a name is a constant of ours, and so never gone: its address tells it for good. */
static inline bool is_constant(PyObject *name) {
    for (size_t at = 0; at < sizeof CPyStatics / sizeof CPyStatics[0]; at++) {
        if (CPyStatics[at] == name) {
            return true;
        }
    }
    return false;
}

/* --- slots of objects: Python/specialize.c, analyze_descriptor -----------------------------------
 *
 * A type's version is given out once by the process (assign_version_tag; when there are no more, none is)
 * and taken back when the type or one that it derives from changes (PyType_Modified), its __bases__ and a
 * late __getattribute__ included. So under one version an object has one layout, and a name one
 * descriptor; one with __set__, which what is in the object's __dict__ cannot hide.
 * (Where a metaclass has its own mro(), a class in it that is no base tells nobody of changes; there the
 * interpreter's caches err as this one does, about the name's meaning but never about the layout.)
 */

typedef struct {
    unsigned int version; /* of the type; 0 is none's */
    unsigned int misses;
    PyObject *name;
    Py_ssize_t offset; /* of the slot in an object */
} SeenSlot;

CPy_NOINLINE
static PyObject *find_attribute(PyObject *object, PyObject *name, SeenSlot *seen) {
    PyTypeObject *type = Py_TYPE(object);
    if (seen->misses < MAX_MISSES && type->tp_getattro == PyObject_GenericGetAttr &&
        is_constant(name)) {
        seen->misses++;
        PyObject *found = _PyType_Lookup(type, name);
        if (found != NULL && Py_IS_TYPE(found, &PyMemberDescr_Type)) {
            PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
            if (member->type == T_OBJECT_EX && !(member->flags & PY_AUDIT_READ) &&
                PyType_IsSubtype(type, PyDescr_TYPE(found)) &&
                PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG)) {
                seen->version = type->tp_version_tag;
                seen->name = name;
                seen->offset = member->offset;
            }
        }
    }
    return PyObject_GetAttr(object, name);
}

static inline PyObject *attribute(PyObject *object, PyObject *name, SeenSlot *seen) {
    unsigned int version = Py_TYPE(object)->tp_version_tag;
    if (likely(version == seen->version && name == seen->name && version != 0)) {
        PyObject *value = *(PyObject **)((char *)object + seen->offset);
        if (likely(value != NULL)) { /* else it is not set, and the general way says so */
            return Py_NewRef(value);
        }
    }
    return find_attribute(object, name, seen);
}

#undef CPyObject_GetAttr
#define CPyObject_GetAttr(object, name)           \
    ({                                            \
        static SeenSlot seen_slot_;               \
        attribute((object), (name), &seen_slot_); \
    })

/* --- globals of modules: Python/ceval.c, LOAD_ATTR_WITH_HINT ---------------------------------------
 *
 * An entry that has this very name for its key has the name's value, whatever dict it is in and whatever
 * was changed in it since: what is remembered is only where to look first. The version of a dict would
 * say less than it seems to: STORE_ATTR_WITH_HINT lets go of an old value before it changes the version.
 */

typedef struct {
    Py_ssize_t at; /* among the entries of a dict */
    unsigned int misses;
} SeenItem;

CPy_NOINLINE
static PyObject *find_item(PyObject *dict, PyObject *name, SeenItem *seen) {
    PyObject *value = CPyDict_GetItem(dict, name);
    if (value != NULL && seen->misses < MAX_MISSES && PyDict_CheckExact(dict)) {
        seen->misses++;
        PyDictKeysObject *keys = ((PyDictObject *)dict)->ma_keys;
        if (keys->dk_kind == DICT_KEYS_UNICODE) {
            for (Py_ssize_t at = 0; at < keys->dk_nentries; at++) {
                if (DK_UNICODE_ENTRIES(keys)[at].me_key == name) {
                    seen->at = at;
                    break;
                }
            }
        }
    }
    return value;
}

static inline PyObject *item(PyObject *dict, PyObject *name, SeenItem *seen) {
    if (likely(PyDict_CheckExact(dict))) {
        PyDictKeysObject *keys = ((PyDictObject *)dict)->ma_keys;
        /* Neither keys that are no str nor those that objects share, whose values lie elsewhere. */
        if (likely(keys->dk_kind == DICT_KEYS_UNICODE && seen->at < keys->dk_nentries)) {
            PyDictUnicodeEntry *entry = &DK_UNICODE_ENTRIES(keys)[seen->at];
            if (likely(entry->me_key == name && entry->me_value != NULL)) {
                return Py_NewRef(entry->me_value);
            }
        }
    }
    return find_item(dict, name, seen);
}

#define CPyDict_GetItem(dict, name)         \
    ({                                      \
        static SeenItem seen_item_;         \
        item((dict), (name), &seen_item_);  \
    })

#endif
#endif
