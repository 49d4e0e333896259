//! The languages that are told apart, each with the letters of its alphabet beyond a to z and with its commonest words.
//!
//! Common words make up a third to two thirds of a running text in most languages, so a sentence of five words mostly
//! has one. Words of thoughts (numbers to twelve, "so", "equals", "check") are here because mathematics is short of
//! others. A word that is a name, or common in mathematics of many languages ("total", "base"), is left out.

use unicode_script::Script::{self, Arabic, Cyrillic, Devanagari, Latin};

/// A language that can be told from others of its script.
pub(super) struct Language {
    /// ISO 639-1.
    pub(super) code: &'static str,
    pub(super) script: Script,
    /// The letters of its words, a to z aside; empty for Devanagari, where letters tell nothing apart.
    pub(super) letters: &'static str,
    /// Its commonest words, in lower case.
    pub(super) words: &'static str,
}

const fn of(code: &'static str, script: Script, letters: &'static str, words: &'static str) -> Language {
    Language { code, script, letters, words }
}

/// Every language that is told apart; the place of one is its bit in a set.
#[rustfmt::skip]
pub(super) const LANGUAGES: [Language; 34] = [
    of("en", Latin, "",
        "the of and to in is that it for was on are as with be by at from this have had has not but they his her he \
        she you we or an were which their been will would there all one if can what when who more so no up out about \
        into them some could him your our than then other its only also do does did how these those my me us may \
        must should because since thus hence therefore let each both two three four five six seven eight nine ten \
        eleven twelve where after before over between while answer wait check checking first second third next now \
        just number numbers equals equal sum add find get gives give make makes take use show note here hmm okay \
        actually again still same any such every many much most very well yes need know see means given want think \
        really right wrong left like per through without under against being having during until why whose though \
        although too even ever never always yet else anyone nothing something everything another eighteen twenty \
        fifteen hundred half divide multiply subtract calculate compute verify correct look try say said going back \
        down off once got there's isn't don't doesn't that's it's let's time day year people please however further \
        include way come am part care later set go end big small new old long met die sold made used told asked car \
        tall door non due face dice cat son hay hat plus men dig man sub pet sea ore mine fire lake mint sit sense \
        ton bin pot tuna pro ad sex pour encore solo pod pre fins bare till comment dent bent fare mange mind hand \
        gang"),
    of("de", Latin, "äöüß",
        "der die das und ist in den von zu mit sich des auf für nicht eine ein einen einem einer eines als auch es an \
        werden aus er hat dass daß sie nach wird bei sind noch wie über so zum zur haben nur oder aber vor bis mehr \
        durch man sein wurde wurden war waren ich du wir ihr ihre ihren seine seinen mein meine dein unser unsere \
        uns mich dich ihm ihn ihnen mir dir kann können muss müssen soll sollen also dann wenn weil denn da dort \
        hier jetzt nun schon immer wieder sehr viel viele alle alles allen etwas nichts kein keine keinen was wer wo \
        wann warum welche welcher welches diese dieser dieses diesen jede jeder jedes eins zwei drei vier fünf sechs \
        sieben acht neun zehn elf zwölf achtzehn zwanzig gleich ergibt antwort ergebnis summe zahl zahlen lösung \
        somit daher deshalb folgt gilt sei prüfen prüfe überprüfen rechnen berechnen zuerst erst beide beiden gibt \
        geht macht mal beträgt insgesamt ebenfalls zwischen ohne gegen um im am vom beim ins ans hatte hätte wäre \
        würde gewesen worden habe bin bist seid einmal ja nein doch kommt bleibt brauchen damit davon dazu darauf \
        daraus unter seit während weiter fertig richtig falsch addieren teilen nochmal fuer ueber muessen fuenf \
        zwoelf koennen pruefen dem jedoch ab dies sondern konnte sollte muß heißt findet lassen steht neue neuen \
        andere anderen unserer diesem ganz wirklich einfach bitte wenig will bereits lautet lässt liegt nimmt"),
    of("fr", Latin, "àâæçéèêëîïôœùûüÿ",
        "le la les de des du un une et est en à que qui dans pour pas sur au aux ce cet cette ces se sont par plus \
        avec il elle on nous vous ils elles je tu ne son sa ses leur leurs mais ou où donc or ni car comme si tout \
        tous toute toutes fait être avoir été avait était ont peut aussi bien même deux trois quatre cinq six sept \
        huit neuf dix onze douze vingt alors ainsi puis ensuite abord soit réponse résultat somme nombre nombres \
        égal égale vaut obtient vérifions vérifie vérifier calculons calculer ajoute additionne reste encore fois \
        entre sans sous chaque aucun rien très peu trop moins non oui voici voilà quand combien pourquoi comment \
        parce puisque lorsque avant après depuis chez vers dont quel quelle quels quelles celui celle ceux cela ça \
        ici là maintenant premier première autre autres faut sera serait suis sommes êtes allons avons avez faire \
        dire mon ma mes ton ta tes notre nos votre vos lui moi toi eux font donne trouve cherche dit peux jour ans \
        qu'il d'un d'une c'est n'est j'ai qu également toujours doit contre permet plusieurs temps cas part jours"),
    of("es", Latin, "áéíñóúü",
        "el la los las de del que en un una unos unas es por para con no se su sus lo como más pero al este esta \
        estos estas ese esa ya entre cuando todo toda todos todas ser son fue era muy sin sobre también me mi mis tu \
        tus le les nos ha han hay está están porque qué quién cuál cuánto cuántos cuántas cómo dónde cuándo si sí \
        uno dos tres cuatro cinco seis siete ocho nueve diez once doce dieciocho veinte entonces luego primero \
        después así pues tanto respuesta resultado suma número números igual vale sea tenemos sumamos sumar \
        comprobamos comprobar verificamos verificar calculamos calcular veces cada otra otro otros otras mismo misma \
        nada algo desde hasta durante según hacia contra donde ahora aquí allí antes siempre nunca puede pueden \
        tiene tienen hacer hace ella ellos ellas él yo usted ustedes nosotros solo sólo menos mucho poco bien ver \
        vamos sabemos decir queda obtenemos esto eso aunque había fueron sido estaba parte años dice te ni tan vez \
        va puedes nuestro nuestra mejor gran trabajo forma quien muchas muchos da van sería primer dar hizo"),
    of("pt", Latin, "áâãàçéêíóôõú",
        "os as de do da dos das que em no na nos nas um uma uns umas é por para com não se seu sua seus suas ao aos à \
        às mais mas como foi ser são está estão este esta isto esse essa isso aquele aquela ele ela eles elas eu nós \
        você vocês já também só muito quando entre sem sobre até pelo pela pelos pelas há tem têm temos porque qual \
        quais quem quanto quantos onde então assim primeiro depois portanto logo resposta resultado soma número \
        números igual vale seja somamos verificar verificamos vamos calcular vezes cada outra outro outros outras \
        mesmo nada algo desde agora aqui antes sempre nunca pode podem fazer faz dois duas três quatro cinco seis \
        sete oito nove dez onze doze dezoito vinte ou nem minha meu lhe me te ainda apenas menos pouco bem dizer \
        obtemos dá fica foram era sido tinha estava parte anos disse num numa ter vez vai vão tudo sim tão melhor \
        hoje ano forma tempo todos todo qualquer dia durante lei ver dar"),
    of("it", Latin, "àèéìíòóù",
        "il lo la gli le di del dello della dei degli delle al allo alla ai agli alle da dal dalla dai dalle in nel \
        nello nella nei negli nelle con su sul sulla sui sulle per tra fra che è non un uno una si come più ma anche \
        se sono ha hanno ho abbiamo questo questa questi queste quello quella quelli quelle ci mi ti vi lui lei loro \
        noi voi io cui chi cosa quando dove perché quanto quanti quante essere stato stata era erano molto tutto \
        tutti tutte solo ancora già ora poi quindi allora dunque così prima dopo sia siano risposta risultato somma \
        numero numeri uguale vale calcoliamo verifichiamo verificare sommiamo troviamo volte ogni altro altra altri \
        altre stesso stessa niente senza sotto due tre quattro cinque sei sette otto nove dieci undici dodici \
        diciotto venti né suo sua suoi mio mia può possiamo fare fa viene meno poco bene otteniamo dice ed ad dell \
        nell all dall sull anni parte fatto c'è oltre sempre sarà contro invece fino sta va almeno detto nostro dire \
        nuovo proprio ore ne tempo quel qui però durante tanto"),
    of("nl", Latin, "éëïóöü",
        "de het een en van in is dat op te met voor zijn niet aan er om ook als maar dan door bij over nog uit naar \
        heeft hebben had werd werden worden wordt was waren tot of ze hij zij wij we jij je ik mijn jouw haar ons \
        onze hun deze dit die wat wie waar wanneer waarom hoe hoeveel kan kunnen moet moeten zal zullen zou veel \
        meer geen wel al alle alles iets niets dus daarom omdat want eerst daarna vervolgens antwoord uitkomst getal \
        getallen som gelijk krijgen controleren berekenen optellen tellen twee drie vier vijf zes zeven acht negen \
        tien elf twaalf achttien twintig één keer elke elk andere zelfde nu hier daar toen tussen zonder tegen na \
        onder nodig geeft blijft laten maakt totaal stel zo ja nee mij hem zich ben bent ligt samen tijdens volgens \
        gaat laatste jaar alleen eerste eigen weer vaak tweede aantal deel zeer gaan terug vooral ten later echter \
        per elkaar zien goed nam men beiden der man"),
    of("sv", Latin, "åäöé",
        "och att det som en på är av för med till den har de inte om ett han hon vi jag du ni man var från kan men så \
        när nu eller där här vad vem hur varför vilken vilket vilka också bara mycket mer mest alla allt något någon \
        några ingen inget inga detta denna dessa sin sitt sina min mitt mina din vår vårt våra er deras hans hennes \
        dem dig mig oss sig skulle ska skall måste får fick blir blev bli vara varit hade ha efter under över utan \
        mellan mot genom innan sedan eftersom därför alltså först svaret svar talet tal summan lika kontrollera \
        kontrollerar beräkna adderar lägger två tre fyra fem sex sju åtta nio tio elva tolv varje andra samma igen \
        ger gör göra ju än ännu vid åt kvar finns in upp ut vill olika få många även kommer inom se första del kunna \
        hela väl både stora bra tid samt eget vissa nya ta per går ser"),
    of("da", Latin, "æøåé",
        "og at det er en til på som med for den de ikke af et har han hun vi jeg du man var fra kan men så når nu \
        eller der her hvad hvem hvordan hvorfor hvilken hvilket også kun meget mere mest alle alt noget nogen nogle \
        ingen intet dette denne disse sin sit sine min mit mine din vores jeres deres hans hendes dem dig mig os sig \
        skulle skal må får fik bliver blev blive være været havde have efter under over uden mellem mod gennem før \
        siden fordi derfor altså først svaret svar tallet tal summen lig lige kontrollere kontrollerer beregne \
        lægger to tre fire fem seks syv otte ni ti elleve tolv hver anden andre samme igen giver gør gøre endnu ved \
        hvis om op ud ad sagde ville kunne hvor mange vil selv nye få end lidt se børn godt god tid kommer bare samt \
        måde inden nok da del sammen går både ser tak jo hele dit netop måske"),
    of("no", Latin, "æøåéòô",
        "og at det er en til på som med for den de ikke av et har han hun vi jeg du dere man var fra kan men så når \
        nå eller der her hva hvem hvordan hvorfor hvilken hvilket også bare mye mer mest alle alt noe noen ingen \
        ingenting dette denne disse sin sitt sine min mitt mine din vår vårt våre deres hans hennes dem deg meg oss \
        seg skulle skal må får fikk blir ble bli være vært hadde ha etter under over uten mellom mot gjennom før \
        siden fordi derfor altså først svaret svar tallet tall summen lik like sjekker sjekke kontrollere beregne \
        legger to tre fire fem seks sju syv åtte ni ti elleve tolv hver annen andre samme igjen gir gjør gjøre ennå \
        ved hvis om opp ut sier ville kunne ikkje eg ein frå å vil da få både inn tid se slik går enn mange hele \
        sammen selv kommer følgende litt ta nye del dei ett ser nok god godt hvor bra samt dels ei"),
    of("fi", Latin, "äöå",
        "ja on ei että se hän he me te minä sinä oli ovat olla mutta kun niin kuin tai jos myös joka jotka mitä mikä \
        kuka missä miten miksi milloin tämä tämän nämä nuo sen sitä siitä siinä niitä ne kanssa sekä vain nyt sitten \
        ensin koska siis eli mukaan jälkeen ennen ilman välillä kaikki kaikkien paljon enemmän vähemmän hyvin vielä \
        aina vastaus tulos luku luvut lukua summa yhtä yhteensä lasketaan laske lasken tarkistetaan tarkista saadaan \
        saamme kerran kertaa kaksi kolme neljä viisi kuusi seitsemän kahdeksan yhdeksän kymmenen yksi toinen toista \
        sama jokainen ole olemme olisi voi voidaan voimme pitää täytyy antaa meillä hänen heidän minun hänellä onko \
        eivät en emme joten jonka jossa tästä noin jo ollut sanoi vuonna vuoden sillä kuitenkin koko eri tulee tässä \
        kautta eikä olivat saada tulisi jota jolla yli tehdä tuli voit lisäksi aikana niiden siihen saat tieto"),
    of("pl", Latin, "ąćęłńóśźż",
        "na do nie się to jest że jak po od za przez dla ale co czy tak już tylko ich jego jej był była było były być \
        ma mają może można są ten ta te tego tej tym tych które który która ze we też także oraz lub albo ani gdy \
        kiedy gdzie dlaczego ile kto jeśli jeżeli więc zatem dlatego ponieważ bo najpierw potem następnie teraz \
        odpowiedź wynik suma liczba liczby liczb równa równe równy wynosi mamy dodajemy sprawdźmy sprawdzamy \
        sprawdzić obliczmy obliczamy otrzymujemy razy każdy każda każde inny wszystkie wszystko nic coś bez między \
        pod nad przed jeden dwa trzy cztery pięć sześć siedem osiem dziewięć dziesięć dwie my wy oni ja ty on ona \
        ono mnie mi mu ją go im nas nam jako jeszcze bardzo bardziej mniej więcej zostaje będzie jednak podczas roku \
        został niż sobie przy by osób których będą sposób kilka prawie temu dzięki je czasu właśnie inne nich nawet \
        nowy razie tam drugi"),
    of("cs", Latin, "áčďéěíňóřšťúůýž",
        "na je se že to do za po pro od ale jako by být byl byla bylo jsou jsem jsme není má mají mít jak co kdo kde \
        kdy proč kolik který která které kteří tak už jen také nebo ani když pokud protože proto tedy potom pak \
        nejprve nyní teď odpověď výsledek součet číslo čísla čísel rovná rovno máme sečteme zkontrolujeme ověříme \
        spočítáme dostaneme krát každý každá jiný všechny vše nic něco bez mezi pod nad před jeden dva dvě tři čtyři \
        pět šest sedm osm devět deset my vy oni já ty on ona ten ta toto tento tato tyto jeho její jejich mě mi ho \
        mu nás nám ve ze ještě velmi více méně bude může musí však až při roce si aby asi této další či dnes než \
        svůj zde let dále kterou budou první byly podle kam tomu přes toho tu tím tom jej jde sobě roku"),
    of("sk", Latin, "áäčďéíĺľňóôŕšťúýž",
        "na je sa že to do za po pre od ale ako by byť bol bola bolo boli sú som sme nie má majú mať čo kto kde kedy \
        prečo koľko ktorý ktorá ktoré tak už len aj tiež alebo ani keď ak pretože preto teda potom najprv teraz \
        odpoveď výsledok súčet číslo čísla rovná máme sčítame skontrolujeme overíme vypočítame dostaneme krát každý \
        iný všetky všetko nič niečo bez medzi pod nad pred jeden dva dve tri štyri päť šesť sedem osem deväť desať \
        my vy oni ja ty on ona ten tá tento táto tieto jeho jej ich mi ho mu nás nám vo zo ešte veľmi viac menej \
        bude môže musí však až pri roku si ktorí aby podľa či so iba tu ste no tejto tým tom skôr ju máte lebo tam \
        proti vlastne všetkých ku im ktorej tomu dnes asi"),
    of("hu", Latin, "áéíóöőúüű",
        "az és hogy nem is egy ez azt ezt meg van volt csak de már még vagy ha mint el ki be le fel akkor mert így \
        tehát ezért amely aki ami hol mikor miért hány mennyi hogyan kell lehet lesz lett vannak ennek annak ezek \
        azok minden mindig majd most először utána után előtt között nélkül válasz eredmény összeg szám számok \
        egyenlő kapjuk ellenőrizzük számoljuk összeadjuk legyen nincs sem olyan ilyen nagyon több kevesebb kettő két \
        három négy öt hat hét nyolc kilenc tíz én te ő mi ti ők azon ezen arra erre össze vissza szerint pedig \
        illetve amit által új való úgy egyik amikor nagy itt első ott hanem ben akik számára aztán más sok jó vele \
        éppen volna voltak keresztül attól viszont"),
    of("ro", Latin, "ăâîșțşţ",
        "și şi în de la cu pe din că nu este sunt fost al ale un ca mai pentru sau dar care ce se să au are prin după \
        până între fără sub despre dacă când unde cum cât câte cine deci atunci astfel apoi întâi acum răspunsul \
        rezultatul suma numărul numere egal egală avem adunăm verificăm calculăm obținem ori fiecare alt altă \
        același tot toate toți nimic ceva doi două trei patru cinci șase șapte opt nouă zece unu noi voi ei ele eu \
        tu el ea lui lor acest această acesta aceasta aceste acești am ai va fi poate trebuie foarte mult puțin \
        numai doar ne vă îi îl într dintre către spre cele cel vor unui unei cea bine nici mare multe face peste \
        aici loc fapt există unul toată erau fiind si sa le ani parte pot prima fel fara dupa pana cand cat"),
    of("tr", Latin, "çğıöşüâî",
        "ve bir bu da de için ile çok daha ne olarak olan gibi kadar sonra önce en var yok mi mı mu mü değil ama \
        fakat ancak veya ya ki her şey şu ben sen biz siz onlar onun bunun bunu buna onu bunlar şimdi eğer çünkü \
        dolayısıyla böylece ise olur oldu olduğu olduğunu eder edelim ederiz eşittir cevap yanıt sonuç toplam sayı \
        sayılar sayısı kontrol kez tane iki üç dört beş altı yedi sekiz dokuz on kaç nasıl neden nerede hangi kim \
        hiç bütün tüm aynı diğer arasında göre yani öyle böyle şöyle ilk tekrar hesaplayalım bulalım buluruz elde \
        kalan vardır kendi bile üzere olsun içinde tarafından ediyor ilgili büyük şekilde önemli hem gün iyi bulunan \
        yeni birlikte fazla sadece uygun gerekli son yerine rağmen tek ayrıca olması olmak zaman"),
    of("id", Latin, "",
        "yang dan di dari ini itu untuk dengan dalam pada adalah tidak akan ke oleh juga ada sebagai atau mereka dia \
        kita kami saya anda karena jadi maka lalu kemudian sudah telah dapat bisa harus lebih banyak satu dua tiga \
        empat lima enam tujuh delapan sembilan sepuluh jika bila apa siapa mana kapan mengapa bagaimana berapa \
        jawaban jawabannya hasil hasilnya jumlah angka bilangan sama kali setiap semua hanya masih lagi antara tanpa \
        setelah sebelum pertama mari periksa hitung menghitung jumlahkan kedua sehingga namun tetapi tapi bahwa \
        seperti para secara tersebut orang belum saat ya bukan tahun menjadi ia nya boleh kepada ialah aku pun saja \
        sangat baru ketika tentang serta demikian beberapa terhadap sampai bagi berada apakah memang ternyata sebuah \
        atas"),
    of("vi", Latin, "àáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
        "và của là có không được cho một các những trong với này đó khi thì từ đến ra vào người năm cũng như đã sẽ \
        đang để về theo trên dưới tại sau trước vì nên do vậy ta chúng tôi bạn nó họ mà hay hoặc nếu nhưng rồi lại \
        còn rất nhiều ít hơn bằng số kết quả đáp án tổng cộng kiểm tra tính bao nhiêu hai ba bốn sáu bảy tám chín \
        mười mỗi tất cả giá trị câu trả lời đầu tiên tiếp bây giờ thế phải gì ai đâu anh em ông bà học công làm \
        trường ở hiện thành chính nhất đều việc bị chỉ mình định thể"),
    of("sw", Latin, "",
        "na ya wa kwa ni katika la za cha vya kuwa hii hiyo hilo hizo huo huu yake yao yangu wake wao wetu sasa \
        lakini au kama si baada kabla kila moja mbili tatu nne tano sita saba nane tisa kumi jibu jumla idadi namba \
        nambari tuna ana wana alikuwa walikuwa kwamba hivyo kwanza kisha pia zaidi sana tu bila yeye sisi mimi wewe \
        hapa hapo gani nini lini wapi ngapi tunapata tuangalie sawa watu mtu ili hadi kutoka pamoja bado ambayo \
        ambao ambaye wote mwaka wakati kwenye nyingi kati kuna ndani kutokana sababu ina mwa lake tena mara iko"),
    of("ca", Latin, "àçèéíïòóúü",
        "el la els les de del dels que en un una uns unes és per amb no es se al als però com més aquest aquesta \
        aquests aquestes aquell això allò ja quan tot tota tots totes són ser va van molt sense sobre també em ens \
        us li ho hi ha han perquè què qui quin quina quants on si sí dos dues tres quatre cinc sis set vuit nou deu \
        llavors doncs així primer després resposta resultat suma nombre igual tenim cada altre altra mateix mateixa \
        res fins des ara aquí abans sempre mai pot poden té tenen fer fa ell ella nosaltres només menys poc bé seva \
        seu d'un d'una pel entre part anys lo col dia era havia cal lloc cas tan temps te gran forma contra qual"),
    of("hr", Latin, "čćđšž",
        "na je se da su za od ne kao koji koja koje što ali ili bio bila bilo biti nije sam smo ste te to taj ta ovaj \
        ova ovo iz po do kod već samo još više manje može mogu ima imaju kada gdje zašto kako koliko tko ko ako jer \
        zato dakle onda zatim prvo sada odgovor rezultat zbroj zbir broj brojevi brojeva jednako jednak imamo \
        zbrojimo provjerimo izračunamo dobivamo dobijamo puta svaki svaka drugi sve ništa nešto bez između pod nad \
        pred prije poslije nakon jedan dva dvije tri četiri pet šest sedam osam devet deset mi vi oni ja ti on ona \
        njegov njihov će bi sa ovog tog kojih prema uz pa ga također kojima dok ove zbog odnosno nego svih vrlo \
        jedna no tako nisu nekoliko svoje tom pri"),
    of("ru", Cyrillic, "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
        "и в не на что с он как это по но к у из за от так о для же все она они мы вы я ты его её ее их мне нам вас \
        бы было был была были быть есть нет да или если когда где почему сколько кто который которая которые которое \
        этот эта эти этого того том тем то тогда потом затем сначала теперь уже ещё еще только очень более менее чем \
        также итак значит следовательно поэтому потому пусть ответ результат сумма число числа чисел равно равна \
        равен получаем получим проверим проверяем вычислим сложим имеем раз каждый каждая другой другие ничего без \
        между под над перед после до один одна два две три четыре пять шесть семь восемь девять десять во со при \
        через можно нужно может него ним вот а здесь ни них сам даже меня лишь тоже чтобы надо там нас эту ему тебе \
        своей будет ну им мой просто раньше всех свои всегда этим много"),
    of("uk", Cyrillic, "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
        "і й та в у не на що з із зі він як це по але до за від так про для же все вона вони ми ви я ти його її їх \
        мені нам вас би б було був була були бути є немає ні або чи якщо коли де чому скільки хто який яка які яке \
        цей ця ці цього того тому тоді потім спочатку спершу тепер вже ще тільки лише дуже більше менше ніж також \
        отже значить нехай хай відповідь результат сума число числа чисел дорівнює маємо отримуємо отримаємо \
        перевіримо обчислимо додамо раз кожен кожна інший інші нічого без між під над перед після один одна два дві \
        три чотири п'ять шість сім вісім дев'ять десять можна треба може яких а то щоб ж має при бо тим хоча багато \
        навіть той одного там себе цих проте такий саме всі такі цьому них сам те"),
    of("be", Cyrillic, "абвгдеёжзійклмнопрстуўфхцчшыьэюя",
        "і ў не на што з ён як гэта па але да за ад так пра для ж усё яна яны мы вы я ты яго яе іх мне нам было быў \
        была былі ёсць няма або ці калі дзе чаму колькі хто які якая якія гэты гэтага таму тады потым спачатку цяпер \
        ужо яшчэ толькі вельмі больш чым таксама значыць няхай адказ вынік сума лік лікі роўна маем атрымаем \
        праверым складзём раз кожны іншы без паміж адзін два дзве тры чатыры пяць шэсць сем восем дзевяць дзесяць \
        можна трэба у а пры вось аб каб шмат ня будзе жа тое са той бо тым таго"),
    of("bg", Cyrillic, "абвгдежзийклмнопрстуфхцчшщъьюя",
        "и в не на че с той как това по но към от за така със да ще се са е си тя те ние вие аз ти го ги му ни ви бе \
        беше били съм сме няма има или ако кога къде защо колко кой който която които което този тази тези тогава \
        после след първо сега вече още само много повече също значи следователно затова защото нека отговор \
        отговорът резултат сумата число числото числа равно получаваме проверим проверяваме изчислим събираме имаме \
        пъти всеки друг нищо без между под над пред един една два две три четири пет шест седем осем девет десет \
        може трябва до при във като през а бъде всички преди около според обаче нас нашата времето всяка все него им \
        други"),
    of("sr", Cyrillic, "абвгдђежзијклљмнњопрстћуфхцчџш",
        "и у је се да на не су за од са о као који која које што али или био била било бити није сам смо сте то тај \
        та овај ова ово из по до код већ само још више мање може могу има имају када где зашто како колико ко ако \
        јер зато дакле онда затим прво сада одговор резултат збир број бројеви бројева једнако имамо саберемо \
        проверимо израчунамо добијамо пута сваки други све ништа без између један два две три четири пет шест седам \
        осам девет десет ми ви они ја ти он она ће би а го док због према након под међу пре после свим своје те \
        били па њих при"),
    of("mk", Cyrillic, "абвгдѓежзѕијклљмнњопрстќуфхцчџш",
        "и во е се да на не за од со како кој која кое што но или бил била биде сум сме тоа тој таа овој оваа ова до \
        по само уште повеќе може има имаат кога каде зошто колку ако бидејќи затоа значи тогаш потоа прво сега \
        одговор резултат збир број броеви еднакво имаме провериме добиваме пати секој друг сите ништо без меѓу еден \
        два две три четири пет шест седум осум девет десет ние вие тие јас ти ќе би ги го му ја ни а дека под според \
        биле поради исто многу иако преку помеѓу нивниот таква така било други беше пред треба при после над една"),
    of("ar", Arabic, "ابتثجحخدذرزسشصضطظعغفقكلمنهويءأإآؤئىة",
        "في من على إلى أن هذا هذه التي الذي عن مع ما لا لم لن كان كانت هو هي هم نحن أنا أنت ثم أو إذا لأن بعد قبل كل \
        بين عند حتى قد لقد ذلك تلك أي كم كيف متى أين لماذا إذن لذلك أولاً أولا الآن النتيجة الجواب الإجابة العدد \
        مجموع يساوي نجمع نتحقق لدينا مرة أخرى واحد اثنان ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة عشرة فقط أيضا أيضاً \
        غير ليس حيث يكون و كما بعض هل عليه لها خلال جميع الذين فإن تكون تم ومن وفي ان عدد ليكن نتيجة جواب جمع برقم \
        رقم"),
    of("fa", Arabic, "ابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهیءآئؤأة",
        "در از به که این است را با برای آن یک تا می بر هم نیز خود شد شده بود باشد ما من شما او آنها اگر پس چون زیرا \
        یا اما بعد قبل هر همه بین چند چرا چگونه کجا ابتدا سپس اکنون پاسخ جواب نتیجه عدد اعداد مجموع برابر جمع بررسی \
        داریم دو سه چهار پنج شش هفت هشت نه ده بار دیگر نیست هست کرد کرده کنیم و های ها شود ای دارد کند روی توسط توان \
        داشته استفاده انجام ی"),
    of("ur", Arabic, "ابپتٹثجچحخدڈذرڑزژسشصضطظعغفقکگلمنںوہھءیےآئؤأۂۃ",
        "میں کے کی ہے کا سے کو نے اور پر یہ ہیں اس کہ وہ کر بھی نہیں ہم آپ ایک تو جو تھا تھے تھی ہو گا گی گے لیے اگر \
        پھر کیونکہ یا لیکن بعد پہلے ہر سب درمیان کتنے کیوں کیسے کہاں اب جواب نتیجہ عدد مجموعہ برابر جمع دو تین چار \
        پانچ چھ سات آٹھ نو دس ان کرنے کیا ا ہی اپنے نہ جس جب و کہا گیا ساتھ ہوئے کسی جائے کرتے تک گئی خود بار چند \
        قبل"),
    of("hi", Devanagari, "",
        "है में के की का से को और पर यह हैं इस कि वह कर भी नहीं हम आप एक तो जो था थे थी हो लिए अगर फिर क्योंकि या \
        लेकिन बाद पहले हर सब बीच कितने क्यों कैसे कहाँ अब उत्तर परिणाम संख्या योग बराबर जोड़ते दो तीन चार पाँच छह \
        सात आठ नौ दस ने इसलिए होता ए अपने उस गया तक लग किया करने अपनी उन रहा रही रहे"),
    of("mr", Devanagari, "",
        "आहे आणि हे या मध्ये ते तो ती मी आम्ही तुम्ही की पण किंवा जर तर कारण नाही होते होता आहेत एक दोन तीन चार पाच \
        सहा सात आठ नऊ दहा उत्तर किती का कसे कुठे आता नंतर आधी सर्व म्हणून व येथे साठी अस असे करून पर आले असतो असून \
        वर तसेच"),
    of("ne", Devanagari, "",
        "छ र को मा ले लाई यो त्यो हो छन् गर्न भएको पनि हामी म तिमी तपाईं एक दुई तीन चार पाँच सात आठ नौ दश तर वा यदि \
        किनभने किन कति कसरी कहाँ अब पछि अघि उत्तर संख्या बराबर"),
];
