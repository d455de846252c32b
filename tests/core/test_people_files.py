"""CSV files of people: what is read, and what is said of those that cannot be."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubecustody.core.people import PeopleRefused, Person, parse_people


def faults(text: str | bytes) -> list[str]:
    with pytest.raises(PeopleRefused) as caught:
        parse_people(text if isinstance(text, bytes) else text.encode())
    return str(caught.value).splitlines()[1:]


def test_quotes_bom_empty_lines_and_semicolons_are_read() -> None:
    text = '\ufeffname,display_name,email\r\n\r\nanna,"Anna ""A"", of Ulm",Anna@example.com\r\n'
    text += ' , ,\r\nbert,"Bert\nB.",\r\n'
    anna = Person(3, "anna", 'Anna "A", of Ulm', "Anna@example.com")
    assert parse_people(text.encode()) == [anna, Person(5, "bert", "Bert\nB.")]
    assert parse_people(b"uid;NAME\n17;anna") == [Person(2, "anna", uid="17")]
    assert parse_people(b"name\n") == []


def test_every_fault_is_named_with_its_line() -> None:
    told = faults("name,email,uid\nanna,a@x,1\n12,a@x,x\n\nb c,nobody,\nANNA,A@X,1\nbert\ncarl,c@x,2,3\n")
    assert [fault.partition(":")[0] for fault in told] == [f"Line {line}" for line in (3, 3, 5, 5, 6, 6, 6, 7, 8)]
    assert "not digits alone" in told[0] and "cannot be a uid" in told[1]
    assert "no e-mail address" in told[3]
    assert "the name ANNA stands in line 2 already" in "".join(told[4:7])
    assert "the e-mail A@X stands in line 2 already" in "".join(told[4:7])
    assert "1 columns, and the first line names 3" in told[7]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "Line 1: there is nothing in the file."),
        (b"\xef\xbb\xbf\n\n", "Line 1: there is nothing in the file."),
        (b"anna\nbert\n", "Line 1: it must name the columns"),
        (b"\nname,name\nanna,b", "Line 2: it must name the columns"),
        (b"name,phone\nanna,1", "Line 1: it must name the columns"),
        (b"name\nanna\nb\xff\n", "Line 3: it is not UTF-8."),
        ("name\nänna".encode("utf-16"), "Line 1: it is not UTF-8."),
        (b'name\nanna\n"b"x\nc d\n', "Line 3: it cannot be read as CSV"),
        (b'name\n"anna\nbert\n', "Line 2: it cannot be read as CSV"),
        (b"name\n" + b"x" * 200_000, "Line 2: it cannot be read as CSV"),
        (b"name\nan\0na\n", "Line 2: 'an\\x00na' cannot be a name"),
    ],
)
def test_a_file_that_is_none_is_refused(data: bytes, told: str) -> None:
    assert faults(data)[0].startswith(told)


WORDS = st.text("ab ,;\"\n'é", max_size=8).map(str.strip)


@given(st.lists(WORDS, min_size=1, max_size=6))
def test_what_a_spreadsheet_writes_comes_back(display_names: list[str]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["name", "display_name"])
    writer.writerows([f"n{number}", text] for number, text in enumerate(display_names))
    assert [person.display_name for person in parse_people(stream.getvalue().encode())] == display_names
