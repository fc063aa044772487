//! The blocks and attributes of Kconfig files, and mistakes in them.

use super::*;

fn tree(text: &str) -> Result<KconfigTree, NotKconfig> {
    let files = BTreeMap::from([
        ("Kconfig".to_owned(), text.as_bytes().to_vec()),
        ("sub/Kconfig".to_owned(), b"config SUB\n\tbool\n".to_vec()),
        ("loop/Kconfig".to_owned(), b"source \"loop/Kconfig\"\n".to_vec()),
    ]);
    KconfigTree::read(&KconfigSource { files, variables: BTreeMap::from([("DIR".to_owned(), "sub".to_owned())]) })
}

#[test]
fn blocks_lend_their_dependencies() {
    let text = "mainmenu \"x\"\nmenu \"m\"\n\tdepends on A\n\tvisible if V\nif B || C\nconfig X\n\ttristate \"x\" if P\n\
                \tdepends on D\n\tselect S if T\n\tdefault m if U\nendif\nendmenu\nsource \"$(DIR)/Kconfig\"\n";
    let tree = tree(text).unwrap();
    let definition = &tree.symbols["X"].definitions[0];
    assert_eq!(definition.depends.to_string(), "A && (B || C) && D");
    let (prompt, when) = definition.prompt.as_ref().unwrap();
    assert_eq!((prompt.as_str(), when.to_string().as_str()), ("x", "P && V"));
    assert_eq!((definition.selects[0].0.as_str(), definition.line), ("S", 6));
    assert_eq!(tree.symbols["SUB"].definitions[0].depends.to_string(), "y");
}

#[test]
fn members_belong_to_their_choice() {
    let tree =
        tree("choice\n\tprompt \"c\" if Q\n\tdefault B\nconfig A\n\tbool \"a\"\nconfig B\n\tbool \"b\"\nendchoice\n")
            .unwrap();
    assert_eq!((tree.choices[0].prompt.as_str(), tree.choices[0].members.join(" ").as_str()), ("c", "A B"));
    assert_eq!(tree.symbols["A"].definitions[0].depends.to_string(), "Q");
}

#[test]
fn mistakes_are_named_by_file_and_line() {
    for (text, shown) in [
        ("source \"nowhere\"\n", "Kconfig:1: there is no file nowhere"),
        ("\nendif\n", "Kconfig:2: unmatched `endif`"),
        ("config A\n\tbool \"a\n", "Kconfig:2: cannot parse this `bool`"),
        ("config A\n\tdepends on B &&\n", "Kconfig:2: cannot parse this `depends`"),
        ("config A\n\tnonsense\n", "Kconfig:2: cannot parse this `nonsense`"),
        ("bool\n", "Kconfig:1: `bool` is outside of any block"),
        ("config A-B\n", "Kconfig:1: `A-B` cannot be the name of an option"),
        ("menu \"m\"\n", "Kconfig:0: a block of Kconfig is not closed"),
        ("source \"loop/Kconfig\"\n", "loop/Kconfig:1: files are nested more than 32 deep"),
    ] {
        assert_eq!(tree(text).unwrap_err().to_string(), shown);
    }
}
