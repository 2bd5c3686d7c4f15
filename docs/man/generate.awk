# SPDX-License-Identifier: MIT
# Makes the manual pages of section 3 out of the public header: one for each function, and
# shmbus.3 from the header's opening comment.
#
#   awk -v out=FOLDER -v version=0.1.0 -f generate.awk shmbus.h
#
# A function stands right below a comment "/** ... */": summary, "@param name  text" for each
# parameter, then Returns, Errors, Ownership, Threads and Blocks, each once and in this order. A
# field that is missing or empty, a parameter that is not described or not there, or a public
# function without such a comment is an error: it is named with its line, and the exit code is 1.
# Without "out" it only checks.

BEGIN {
    field_count = split("Returns Errors Ownership Threads Blocks", field_names, " ")
    split("RETURN VALUE|ERRORS|OWNERSHIP|THREADS|BLOCKING", headings, "|")
}

function problem(line, what)
{
    printf "%s:%d: %s\n", FILENAME, line, what > "/dev/stderr"
    problems++
}

function trim(text)
{
    sub(/^[ \t\n]+/, "", text)
    sub(/[ \t\n]+$/, "", text)
    return text
}

# For running text: the marks that roff would take for its own.
function escape(text)
{
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    gsub(/\n\./, "\n\\\\\\&.", text)
    gsub(/\n'/, "\n\\\\\\&'", text)
    return text
}

function flat(text)
{
    gsub(/[ \t\n]+/, " ", text)
    return trim(text)
}

# A line of a comment without its leading asterisk.
function comment_line(line)
{
    sub(/^[ \t]*\/?\*+\/?/, "", line)
    sub(/\*\/[ \t]*$/, "", line)
    return line
}

# ---- reading ------------------------------------------------------------------------------------

state == "" && /^\/\*\*/ { state = "doc"; doc = ""; doc_line = FNR; next }
state == "doc" {
    doc = doc comment_line($0) "\n"
    if (/\*\//) {
        state = "after"
        declaration = ""
    }
    next
}
state == "after" || (state == "" && /^SHMBUS_API/) {
    if (state == "") {
        problem(FNR, "a public function without a comment /** right above it")
        doc = ""
        doc_line = FNR
        state = "after"
        declaration = ""
        undocumented = 1
    }
    if (declaration == "" && $0 !~ /^SHMBUS_API/) {
        problem(doc_line, "a comment /** without a SHMBUS_API function right below it")
        state = ""
        next
    }
    declaration = declaration $0 "\n"
    if (/;[ \t]*$/) {
        if (!undocumented)
            take_function()
        undocumented = 0
        state = ""
    }
    next
}
# The opening comment, and the structs and enums whose definitions the pages show.
state == "" && !seen_opening && /^\/\*$/ { state = "opening"; seen_opening = 1; next }
state == "opening" {
    if (/\*\//)
        state = ""
    else
        opening = opening substr(comment_line($0), 2) "\n"
    next
}
state == "" && /^(struct|enum) [a-z_]+ \{/ { state = "type"; type_name = $1 " " $2; type_text = "" }
state == "type" {
    type_text = type_text $0 "\n"
    if (/^\};/) {
        types[type_name] = type_text
        state = ""
    }
    next
}
# A function type, of one line: under its own name.
state == "" && /^typedef [^(]*[a-z_]+\(.*;$/ {
    type_name = $0
    sub(/\(.*$/, "", type_name)
    sub(/^.*[^a-z_]/, "", type_name)
    types[type_name] = $0 "\n"
}

# ---- one function -------------------------------------------------------------------------------

# The names of a declaration's parameters into parameters[]; how many.
function take_parameters(text, parts, count, i, part)
{
    sub(/^[^(]*\(/, "", text)
    sub(/\)[^)]*;[ \t\n]*$/, "", text)
    text = flat(text)
    if (text == "void" || text == "")
        return 0
    count = split(text, parts, /,/)
    for (i = 1; i <= count; i++) {
        part = parts[i]
        sub(/\[.*$/, "", part)
        sub(/[ \t]+$/, "", part)
        sub(/^.*[^A-Za-z0-9_]/, "", part)
        parameters[i] = part
    }
    return count
}

# Parts the comment: summary, described[name], order_of[], fields[name]. A formatter may have filled
# the lines anew, so a field also begins after the end of a sentence within a line.
function take_comment(text, i, name, at, rest, count, chunks, chunk, previous)
{
    described_count = 0
    for (i = 1; i <= field_count; i++) {
        name = field_names[i]
        at = match(text, "(^|\n|[.;] )[ \t]*" name ":")
        if (!at) {
            problem(doc_line, function_name ": no field \"" name ":\"")
            fields[name] = ""
            continue
        }
        if (at < previous)
            problem(doc_line, function_name ": the field \"" name ":\" is out of order")
        previous = at
        starts[name] = at
        begins[name] = at + RLENGTH
    }
    for (i = 1; i <= field_count; i++) {
        name = field_names[i]
        if (!(name in starts))
            continue
        rest = substr(text, begins[name])
        if (match(rest, "(\n|[.;] )[ \t]*(Returns|Errors|Ownership|Threads|Blocks):"))
            rest = substr(rest, 1, RSTART)
        fields[name] = flat(rest)
        if (fields[name] !~ /[A-Za-z0-9]/)
            problem(doc_line, function_name ": the field \"" name ":\" is empty")
    }
    if ("Returns" in starts)
        text = substr(text, 1, starts["Returns"])
    count = split(text, chunks, /@param/)
    summary = flat(chunks[1])
    if (summary == "")
        problem(doc_line, function_name ": no summary")
    for (i = 2; i <= count; i++) {
        chunk = flat(chunks[i])
        name = chunk
        sub(/ .*$/, "", name)
        rest = substr(chunk, length(name) + 2)
        if (rest == "")
            problem(doc_line, function_name ": @param " name ": says nothing")
        if (name in described)
            problem(doc_line, function_name ": @param " name ": described twice")
        described[name] = rest
        order_of[++described_count] = name
    }
    delete_all(starts)
    delete_all(begins)
}

function delete_all(array, key)
{
    for (key in array)
        delete array[key]
}

function take_function(i, count, known)
{
    function_name = declaration
    sub(/\(.*$/, "", function_name)
    sub(/^.*[^A-Za-z0-9_]/, "", function_name)
    count = take_parameters(declaration)
    take_comment(doc)
    for (i = 1; i <= count; i++) {
        known = known " " parameters[i] " "
        if (!(parameters[i] in described))
            problem(doc_line, function_name ": the parameter " parameters[i] " is not described")
    }
    for (i = 1; i <= described_count; i++)
        if (index(known, " " order_of[i] " ") == 0)
            problem(doc_line, function_name ": @param " order_of[i] ": there is no such parameter")
    pages[++page_count] = function_name
    summaries[function_name] = summary
    declarations[function_name] = declaration
    for (i = 1; i <= field_count; i++)
        page_fields[function_name, field_names[i]] = fields[field_names[i]]
    parameter_counts[function_name] = count
    for (i = 1; i <= count; i++) {
        page_parameters[function_name, i] = parameters[i]
        page_texts[function_name, i] = described[parameters[i]]
    }
    delete_all(described)
    delete_all(fields)
    delete_all(parameters)
}

# ---- writing ------------------------------------------------------------------------------------

function heading(name)
{
    print ".TH " toupper(name) " 3 \"\" \"shmbus " version "\" \"shmbus\"" > page
}

function section(title)
{
    print ".SH " title > page
}

function paragraph(text)
{
    text = escape(text)
    if (text ~ /^[.']/)
        text = "\\&" text
    print text > page
}

# Text whose lines stay as they are.
function verbatim(text)
{
    print ".PP\n.nf" > page
    printf "%s", substr(escape("\n" text), 2) > page
    print ".fi" > page
}

# The first sentence: for NAME, and for the list of all functions.
function brief(text)
{
    if (match(text, /[.:;]( |$)/))
        text = substr(text, 1, RSTART - 1)
    return tolower(substr(text, 1, 1)) substr(text, 2)
}

# One error a paragraph: the comment parts them by "; -E" or ". -E".
function write_errors(text, parts, count, i, part)
{
    gsub(/[;.] -E/, "\n-E", text)
    count = split(text, parts, "\n")
    for (i = 1; i <= count; i++) {
        part = parts[i]
        if (match(part, /^(-E[A-Z0-9]+(, | or )?)+/)) {
            print ".TP" > page
            print ".B " escape(trim(substr(part, 1, RLENGTH))) > page
            part = trim(substr(part, RLENGTH + 1))
            if (part == "")
                part = "as the name says."
        } else {
            print ".PP" > page
        }
        if (part !~ /\.$/)
            part = part "."
        paragraph(part)
    }
}

# The definitions of the types that a declaration speaks of, and of those that they speak of.
function write_types(name, text, type, shown, at, word, list, count, i, before)
{
    text = declarations[name]
    do {
        before = count
        for (type in types)
            if (!(type in shown) && text ~ (type "[^a-z_]")) {
                list[++count] = type
                shown[type] = 1
                text = text types[type]
            }
    } while (count > before)
    # awk's order of keys is nobody's: sort, so that a page is always the same.
    for (i = 2; i <= count; i++)
        for (at = i; at > 1 && list[at - 1] > list[at]; at--) {
            word = list[at]
            list[at] = list[at - 1]
            list[at - 1] = word
        }
    if (count)
        section("TYPES")
    for (i = 1; i <= count; i++)
        verbatim(types[list[i]])
}

function write_page(name, i, text)
{
    page = out "/" name ".3"
    heading(name)
    section("NAME")
    print name " \\- " escape(brief(summaries[name])) > page
    section("SYNOPSIS")
    text = declarations[name]
    sub(/^SHMBUS_API /, "", text)
    gsub(/\n           /, "\n", text) # as many blanks as that was wide
    print ".nf\n.B #include <shmbus/shmbus.h>\n.PP" > page
    printf "%s.fi\n.PP\nLink with \\fI\\-lshmbus\\fP.\n", escape(text) > page
    section("DESCRIPTION")
    paragraph(summaries[name])
    if (parameter_counts[name]) {
        section("PARAMETERS")
        for (i = 1; i <= parameter_counts[name]; i++) {
            print ".TP\n.I " page_parameters[name, i] > page
            paragraph(page_texts[name, i])
        }
    }
    for (i = 1; i <= field_count; i++) {
        section(headings[i])
        text = page_fields[name, field_names[i]]
        if (field_names[i] == "Errors")
            write_errors(text)
        else
            paragraph(text)
    }
    write_types(name)
    section("SEE ALSO")
    print ".BR shmbus (3)" > page
    close(page)
}

function write_overview(i, name)
{
    page = out "/shmbus.3"
    heading("shmbus")
    section("NAME")
    print "shmbus \\- messages between the processes of one host through shared memory" > page
    section("SYNOPSIS")
    print ".nf\n.B #include <shmbus/shmbus.h>\n.fi\n.PP\nLink with \\fI\\-lshmbus\\fP." > page
    section("DESCRIPTION")
    verbatim(opening)
    section("FUNCTIONS")
    for (i = 1; i <= page_count; i++) {
        name = pages[i]
        print ".TP\n.BR " name " (3)" > page
        paragraph(brief(summaries[name]) ".")
    }
    close(page)
}

END {
    if (!problems && page_count == 0)
        problem(FNR, "no public function found")
    if (problems)
        exit 1
    if (out == "")
        exit 0
    for (i = 1; i <= page_count; i++)
        write_page(pages[i])
    write_overview()
}
